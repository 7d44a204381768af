//! Ranks as tiktoken keeps them: a line for each token, its bytes in base 64 and its number, which is also its rank.

use serde_json::Value as Json;

use crate::assembly::{added, assemble, pairs_of, BytePairs, Surroundings};
use crate::byte_level;
use crate::fault::Fault;
use crate::pre_tokenizers;
use crate::tokenizer::Tokenizer;

/// `options` is a JSON object: `pattern`, the name of a pre-tokenizer (default "cl100k") or a regular expression that
/// matches words, and `special_tokens`, an object of numbers by names.
pub fn from_ranks(text: &str, options: &str) -> Result<Tokenizer, Fault> {
    let options: Json = serde_json::from_str(if options.is_empty() { "{}" } else { options })
        .map_err(|error| Fault::argument(format!("the options are no JSON: {error}")))?;
    let mut ranks: Vec<(Vec<u8>, u32)> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = line
            .split_once(' ')
            .and_then(|(token, rank)| Some((from_base64(token)?, rank.trim().parse().ok()?)));
        ranks.push(
            row.ok_or_else(|| Fault::format(format!("line {} is no token and rank", number + 1)))?,
        );
    }
    if ranks.is_empty() {
        return Err(Fault::format("there are no ranks in it"));
    }
    ranks.sort_by_key(|(_, rank)| *rank);

    let letters = byte_level::characters();
    let written =
        |bytes: &[u8]| bytes.iter().map(|&byte| letters[byte as usize]).collect::<String>();
    let pieces: Vec<&[u8]> = ranks.iter().map(|(token, _)| token.as_slice()).collect();
    let pairs = pairs_of(&pieces, |places, left, right| (places[left], places[right]));
    let mut pairs_model = BytePairs {
        tokens: ranks.iter().map(|(token, rank)| (written(token), *rank)).collect(),
        merges: pairs.into_iter().map(|(left, right)| (written(left), written(right))).collect(),
        unknown: None,
        byte_fallback: false,
        ignore_merges: true,
    };
    let mut around = Surroundings::default();
    for (name, id) in options["special_tokens"].as_object().into_iter().flatten() {
        let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let number = number.ok_or_else(|| {
            Fault::argument(format!("the special token {name:?} has the number {id}"))
        })?;
        pairs_model.tokens.insert(name.clone(), number);
        around.added.push(added(name, true));
    }
    let pattern = options["pattern"].as_str().unwrap_or("cl100k");
    match pre_tokenizers::find(pattern) {
        Some(row) => {
            around.normalizer = row.normalizer();
            around.pre_tokenizer = row.json();
        }
        None => around.pre_tokenizer = pre_tokenizers::of_patterns(&[pattern]),
    }
    around.decoder = pre_tokenizers::byte_level_decoder();
    assemble(pairs_model.build()?, around)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}
