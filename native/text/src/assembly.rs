//! Tokenizers put together from what formats without a `tokenizer.json` tell.

use std::collections::HashMap;

use serde_json::{json, Value as Json};
use tokenizers::models::bpe::{Merges, Vocab, BPE};
use tokenizers::models::ModelWrapper;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer as Pipeline,
};

use crate::fault::Fault;
use crate::tokenizer::Tokenizer;

/// The sign that stands for a space in SentencePiece's vocabularies.
pub const SPACE_SIGN: &str = "\u{2581}";

/// What is around a model; null leaves a part out.
#[derive(Default)]
pub struct Surroundings {
    pub normalizer: Json,
    pub pre_tokenizer: Json,
    pub decoder: Json,
    /// Tokens that `add_special` puts before and behind a text.
    pub before: Vec<(String, u32)>,
    pub behind: Vec<(String, u32)>,
    pub added: Vec<AddedToken>,
}

/// A token that is looked for in texts before anything else is.
pub fn added(content: &str, special: bool) -> AddedToken {
    AddedToken::from(content, special).normalized(false)
}

pub fn assemble(model: impl Into<ModelWrapper>, around: Surroundings) -> Result<Tokenizer, Fault> {
    let mut pipeline = Pipeline::new(model);
    if !around.normalizer.is_null() {
        let normalizer: NormalizerWrapper = part(around.normalizer)?;
        pipeline
            .with_normalizer(Some(normalizer))
            .map_err(|error| Fault::format(error.to_string()))?;
    }
    if !around.pre_tokenizer.is_null() {
        let pre_tokenizer: PreTokenizerWrapper = part(around.pre_tokenizer)?;
        pipeline.with_pre_tokenizer(Some(pre_tokenizer));
    }
    if !around.decoder.is_null() {
        let decoder: DecoderWrapper = part(around.decoder)?;
        pipeline.with_decoder(Some(decoder));
    }
    if !(around.before.is_empty() && around.behind.is_empty()) {
        let frame: PostProcessorWrapper = part(frame(&around.before, &around.behind))?;
        pipeline.with_post_processor(Some(frame));
    }
    pipeline.add_tokens(around.added).map_err(|error| Fault::format(error.to_string()))?;
    Tokenizer::new(pipeline)
}

fn part<T: serde::de::DeserializeOwned>(json: Json) -> Result<T, Fault> {
    serde_json::from_value(json).map_err(|error| Fault::format(error.to_string()))
}

fn frame(before: &[(String, u32)], behind: &[(String, u32)]) -> Json {
    let special = |(name, _): &(String, u32), place: u32| json!({"SpecialToken": {"id": name, "type_id": place}});
    let sequence = |name: &str, place: u32| json!({"Sequence": {"id": name, "type_id": place}});
    let around = |name: &str, place: u32| {
        let mut steps: Vec<Json> = before.iter().map(|token| special(token, place)).collect();
        steps.push(sequence(name, place));
        steps.extend(behind.iter().map(|token| special(token, place)));
        steps
    };
    let tokens: serde_json::Map<String, Json> = before
        .iter()
        .chain(behind)
        .map(|(name, id)| (name.clone(), json!({"id": name, "ids": [id], "tokens": [name]})))
        .collect();
    let pair = [around("A", 0), around("B", 1)].concat();
    json!({
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": pair,
        "special_tokens": tokens,
    })
}

/// Byte pairs: `tokens` by their ids, `merges` the first ones first.
pub struct BytePairs {
    pub tokens: Vocab,
    pub merges: Merges,
    pub unknown: Option<String>,
    pub byte_fallback: bool,
    /// A whole word that is a token is not put together from parts.
    pub ignore_merges: bool,
}

impl BytePairs {
    pub fn build(self) -> Result<BPE, Fault> {
        let mut builder = BPE::builder()
            .vocab_and_merges(self.tokens, self.merges)
            .byte_fallback(self.byte_fallback)
            .fuse_unk(self.unknown.is_some())
            .ignore_merges(self.ignore_merges);
        if let Some(unknown) = self.unknown {
            builder = builder.unk_token(unknown);
        }
        builder.build().map_err(|error| Fault::format(error.to_string()))
    }
}

/// The pairs that make the tokens of a vocabulary which tells only how soon each one is made: `pieces` in that order.
/// Among the pairs of one token `first` decides.
pub fn pairs_of<'a, K: Ord>(
    pieces: &[&'a [u8]],
    first: impl Fn(&HashMap<&'a [u8], usize>, &'a [u8], &'a [u8]) -> K,
) -> Vec<(&'a [u8], &'a [u8])> {
    let places: HashMap<&[u8], usize> =
        pieces.iter().enumerate().map(|(place, piece)| (*piece, place)).collect();
    let mut pairs = Vec::new();
    for piece in pieces {
        let splits = (1..piece.len()).map(|at| piece.split_at(at));
        let known =
            splits.filter(|(left, right)| places.contains_key(left) && places.contains_key(right));
        let mut known: Vec<_> = known.collect();
        known.sort_by_cached_key(|(left, right)| first(&places, left, right));
        pairs.extend(known);
    }
    pairs
}
