//! A tokenizer of the tokenizers library, and what it does not tell: the bytes that each token stands for.

use std::sync::{Arc, Mutex};

use llguidance::ParserFactory;
use serde_json::json;
use tokenizers::Tokenizer as Pipeline;

use crate::fault::Fault;
use crate::pieces::Pieces;

pub struct Tokenizer {
    pub pipeline: Pipeline,
    pub pieces: Pieces,
    /// What grammars need of the vocabulary, with the tokens that end a text; made when the first one asks.
    pub grammars: Mutex<Option<(Vec<u32>, Arc<ParserFactory>)>>,
}

pub type Offsets = Vec<(usize, usize)>;

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`.
    pub fn from_json(bytes: &[u8]) -> Result<Tokenizer, Fault> {
        Tokenizer::new(
            Pipeline::from_bytes(bytes).map_err(|error| Fault::format(error.to_string()))?,
        )
    }

    pub fn new(mut pipeline: Pipeline) -> Result<Tokenizer, Fault> {
        // How the author's own calls cut and filled up texts; callers here get the whole of theirs.
        pipeline.with_padding(None);
        pipeline.with_truncation(None).map_err(|error| Fault::format(error.to_string()))?;
        let pieces = Pieces::new(&pipeline)?;
        Ok(Tokenizer { pipeline, pieces, grammars: Mutex::new(None) })
    }

    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Fault> {
        let encoding = self.pipeline.encode_fast(text, add_special);
        Ok(encoding.map_err(|error| Fault::argument(error.to_string()))?.get_ids().to_vec())
    }

    /// The tokens, and where the bytes of each stand in `text`.
    pub fn encode_with_offsets(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<(Vec<u32>, Offsets), Fault> {
        let encoding = self.pipeline.encode(text, add_special);
        let encoding = encoding.map_err(|error| Fault::argument(error.to_string()))?;
        Ok((encoding.get_ids().to_vec(), encoding.get_offsets().to_vec()))
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Fault> {
        self.pipeline.decode(ids, skip_special).map_err(|error| Fault::argument(error.to_string()))
    }

    /// The contents of a `tokenizer.json`.
    pub fn to_json(&self) -> Result<String, Fault> {
        self.pipeline.to_string(false).map_err(|error| Fault::argument(error.to_string()))
    }

    /// The added tokens in the order of their ids, as a JSON list.
    pub fn added_tokens(&self) -> String {
        let mut added: Vec<_> = self.pipeline.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        let rows = added.iter().map(|(id, token)| {
            json!({
                "id": id, "content": token.content, "special": token.special, "normalized": token.normalized,
                "single_word": token.single_word, "lstrip": token.lstrip, "rstrip": token.rstrip,
            })
        });
        serde_json::Value::from(rows.collect::<Vec<_>>()).to_string()
    }
}
