//! Tokenizers, chat templates and grammars behind the C interface of `include/mlxnx_text.h`.

mod assembly;
mod border;
mod byte_level;
pub mod chat;
mod clock;
pub mod detokenizer;
mod exports;
pub mod fault;
mod filters;
mod generation;
pub mod grammar;
mod methods;
pub mod parts;
mod pieces;
mod pre_tokenizers;
mod python;
mod rewrite;
pub mod sentencepiece;
pub mod tiktoken;
pub mod tokenizer;
