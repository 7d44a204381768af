//! Tokenizers from the metadata of a GGUF file.

use serde_json::json;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;

use crate::assembly::{added, assemble, BytePairs, Surroundings, SPACE_SIGN};
use crate::fault::Fault;
use crate::pre_tokenizers;
use crate::sentencepiece::{piece_type, Piece, Vocabulary};
use crate::tokenizer::Tokenizer;

/// What `tokenizer.ggml.*` holds; None where the file does not say.
pub struct Parts<'a> {
    pub model: &'a str,
    pub pre: &'a str,
    pub tokens: Vec<&'a str>,
    /// As many as tokens, or none.
    pub scores: &'a [f32],
    pub types: &'a [i32],
    pub merges: Vec<&'a str>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unknown: Option<u32>,
    pub separator: Option<u32>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub add_space_prefix: Option<bool>,
    pub remove_extra_spaces: Option<bool>,
    pub character_map: &'a [u8],
}

impl Parts<'_> {
    pub fn tokenizer(&self) -> Result<Tokenizer, Fault> {
        let count = self.tokens.len();
        if count == 0 {
            return Err(Fault::format("the vocabulary is empty"));
        }
        for (what, length) in [("scores", self.scores.len()), ("types", self.types.len())] {
            if length != 0 && length != count {
                return Err(Fault::format(format!("there are {length} {what} of {count} tokens")));
            }
        }
        for (what, id) in [
            ("bos", self.bos),
            ("eos", self.eos),
            ("unknown", self.unknown),
            ("separator", self.separator),
        ] {
            if let Some(id) = id.filter(|&id| id as usize >= count) {
                return Err(Fault::format(format!("the {what} token is number {id} of {count}")));
            }
        }
        match self.model {
            "gpt2" => self.byte_level(),
            "llama" => self.sentencepiece(false),
            "t5" => self.sentencepiece(true),
            "bert" => self.words(),
            model => Err(Fault::unsupported(format!(
                "the tokenizer model is {model:?}; supported are gpt2, llama, t5, bert"
            ))),
        }
    }

    fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(piece_type::NORMAL)
    }

    fn frame(&self, id: Option<u32>, is_wanted: bool) -> Vec<(String, u32)> {
        let named = |id: u32| (self.tokens[id as usize].to_string(), id);
        id.filter(|_| is_wanted).map(named).into_iter().collect()
    }

    fn byte_level(&self) -> Result<Tokenizer, Fault> {
        let pre = if self.pre.is_empty() { "default" } else { self.pre };
        let row = pre_tokenizers::find(pre);
        let row = row.ok_or_else(|| {
            Fault::unsupported(format!(
                "the pre-tokenizer is {pre:?}; known are {}",
                pre_tokenizers::names()
            ))
        })?;
        let tokens: Vocab = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, token)| (token.to_string(), id as u32))
            .collect();
        let mut merges = Vec::with_capacity(self.merges.len());
        for merge in &self.merges {
            // A token may start with a space sign of its own, so that the space between is looked for behind the first letter.
            let start = merge.chars().next().map_or(0, char::len_utf8);
            let at = merge[start..].find(' ').map(|at| start + at);
            let at =
                at.ok_or_else(|| Fault::format(format!("the merge {merge:?} has no two parts")))?;
            let (left, right) = (&merge[..at], &merge[at + 1..]);
            // What makes no token can't have been meant.
            if [left, right, &[left, right].concat()].iter().all(|part| tokens.contains_key(*part))
            {
                merges.push((left.to_string(), right.to_string()));
            }
        }
        let special = |(id, token): (usize, &&str)| match self.kind(id) {
            piece_type::CONTROL | piece_type::UNKNOWN => Some(added(token, true)),
            piece_type::USER_DEFINED => Some(added(token, false)),
            _ => None,
        };
        let around = Surroundings {
            normalizer: row.normalizer(),
            pre_tokenizer: row.json(),
            decoder: pre_tokenizers::byte_level_decoder(),
            before: self.frame(self.bos, self.add_bos.unwrap_or(row.add_bos)),
            behind: self.frame(self.eos, self.add_eos.unwrap_or(false)),
            added: self.tokens.iter().enumerate().filter_map(special).collect(),
            ..Surroundings::default()
        };
        let pairs = BytePairs {
            tokens,
            merges,
            unknown: None,
            byte_fallback: false,
            ignore_merges: row.ignore_merges,
        };
        assemble(pairs.build()?, around)
    }

    fn sentencepiece(&self, is_unigram: bool) -> Result<Tokenizer, Fault> {
        if let Some(id) = self.scores.iter().position(|score| score.is_nan()) {
            return Err(Fault::format(format!("the token {id} has no score")));
        }
        let pieces = self.tokens.iter().enumerate().map(|(id, token)| Piece {
            text: token.to_string(),
            score: self.scores.get(id).copied().unwrap_or(-(id as f32)),
            kind: self.kind(id),
        });
        let pieces: Vec<Piece> = pieces.collect();
        Vocabulary {
            byte_fallback: pieces.iter().any(|piece| piece.kind == piece_type::BYTE),
            pieces,
            is_unigram,
            bos: self.bos,
            eos: self.eos,
            add_bos: self.add_bos.unwrap_or(!is_unigram),
            add_eos: self.add_eos.unwrap_or(is_unigram),
            add_space: self.add_space_prefix.unwrap_or(true),
            remove_extra_spaces: self.remove_extra_spaces.unwrap_or(is_unigram),
            character_map: self.character_map.to_vec(),
        }
        .tokenizer()
    }

    /// In GGUF the sign of a space opens a word's first token; in a vocabulary of words "##" opens its other ones.
    fn words(&self) -> Result<Tokenizer, Fault> {
        let name = |id: usize| {
            let token = self.tokens[id];
            match token.strip_prefix(SPACE_SIGN) {
                Some(first) => first.to_string(),
                None if self.kind(id) == piece_type::NORMAL && !token.starts_with('[') => {
                    format!("##{token}")
                }
                None => token.to_string(),
            }
        };
        let unknown = self.unknown.map_or("[UNK]", |id| self.tokens[id as usize]);
        let model = WordPiece::builder()
            .vocab((0..self.tokens.len()).map(|id| (name(id), id as u32)).collect::<Vocab>())
            .unk_token(unknown.to_string())
            .build()
            .map_err(|error| Fault::format(error.to_string()))?;
        let specials = [self.bos, self.eos, self.unknown, self.separator];
        let is_special =
            |id: usize| self.kind(id) == piece_type::CONTROL || specials.contains(&Some(id as u32));
        let special = (0..self.tokens.len())
            .filter(|&id| is_special(id))
            .map(|id| added(self.tokens[id], true));
        let around = Surroundings {
            normalizer: json!({
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
                "lowercase": true,
            }),
            pre_tokenizer: json!({"type": "BertPreTokenizer"}),
            decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
            before: self.frame(self.bos, self.add_bos.unwrap_or(true)),
            behind: self.frame(self.separator.or(self.eos), self.add_eos.unwrap_or(true)),
            added: special.collect(),
        };
        assemble(model, around)
    }
}
