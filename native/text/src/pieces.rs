//! The bytes that each token stands for in a text, by the rules of the tokenizer's decoder.

use serde_json::Value as Json;
use tokenizers::Tokenizer as Pipeline;

use crate::byte_level;
use crate::fault::Fault;

/// How tokens become text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scheme {
    /// Each character of a token is a byte.
    ByteLevel,
    /// A sign stands for a space, and `<0x41>` may stand for a byte.
    Spaces { sign: char, has_bytes: bool, start: Start },
    /// By rules that look at neighbours: words joined by spaces, suffixes, clean-up.
    Joined,
}

/// What is left out of a text's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    Nothing,
    /// Up to so many spaces.
    Spaces(usize),
    /// The signs of spaces in the first token.
    SignsOfFirst,
}

pub struct Pieces {
    pub scheme: Scheme,
    bytes: Vec<u8>,
    /// Of each id: where its bytes start, and where the last one's end.
    starts: Vec<u32>,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// There is no such token.
    Absent,
    Plain,
    /// Left out of texts that are to be read.
    Special,
}

impl Pieces {
    pub fn new(pipeline: &Pipeline) -> Result<Pieces, Fault> {
        let scheme = match pipeline.get_decoder() {
            Some(decoder) => scheme_of(&serde_json::to_value(decoder).unwrap_or_default()),
            None => Scheme::Joined,
        };
        let vocabulary = pipeline.get_vocab(true);
        let count = vocabulary.len();
        let size = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
        if size > 16 * count + (1 << 16) {
            return Err(Fault::format(format!(
                "one of the {count} tokens has the number {}",
                size - 1
            )));
        }
        let mut names: Vec<Option<String>> = vec![None; size];
        for (name, id) in vocabulary {
            names[id as usize] = Some(name);
        }
        let added = pipeline.get_added_tokens_decoder();
        let mut pieces =
            Pieces { scheme, bytes: Vec::new(), starts: vec![0], kinds: Vec::with_capacity(size) };
        for (id, name) in names.iter_mut().enumerate() {
            // An added token hides what the model calls by its number.
            let special = added.get(&(id as u32));
            if let Some(token) = special {
                *name = Some(token.content.clone());
            }
            pieces.kinds.push(match (&name, special) {
                (None, _) => Kind::Absent,
                (_, Some(token)) if token.special => Kind::Special,
                _ => Kind::Plain,
            });
            if let Some(name) = name {
                push_bytes(&mut pieces.bytes, name, scheme);
            }
            let end = u32::try_from(pieces.bytes.len())
                .map_err(|_| Fault::format("the vocabulary has over 4 GB"))?;
            pieces.starts.push(end);
        }
        Ok(pieces)
    }

    /// The largest id and 1.
    pub fn size(&self) -> usize {
        self.kinds.len()
    }

    pub fn kind(&self, id: u32) -> Kind {
        self.kinds.get(id as usize).copied().unwrap_or(Kind::Absent)
    }

    /// The bytes of a token; none where there is no such token.
    pub fn bytes(&self, id: u32) -> &[u8] {
        match self.kind(id) {
            Kind::Absent => &[],
            _ => {
                &self.bytes
                    [self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize]
            }
        }
    }
}

fn push_bytes(bytes: &mut Vec<u8>, name: &str, scheme: Scheme) {
    match scheme {
        Scheme::ByteLevel => match byte_level::to_bytes(name) {
            Some(found) => bytes.extend(found),
            None => bytes.extend(name.as_bytes()),
        },
        Scheme::Spaces { sign, has_bytes, .. } => match byte_of(name).filter(|_| has_bytes) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(name.replace(sign, " ").as_bytes()),
        },
        Scheme::Joined => bytes.extend(name.as_bytes()),
    }
}

/// The byte of a token like `<0x41>`.
fn byte_of(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn scheme_of(decoder: &Json) -> Scheme {
    let empty = Vec::new();
    let steps = match decoder["type"].as_str() {
        Some("Sequence") => decoder["decoders"].as_array().unwrap_or(&empty),
        _ => std::slice::from_ref(decoder),
    };
    let mut sign = None;
    let mut has_bytes = false;
    let mut start = Start::Nothing;
    for step in steps {
        match step["type"].as_str() {
            Some("ByteLevel") if steps.len() == 1 => return Scheme::ByteLevel,
            Some("Metaspace") if steps.len() == 1 => {
                sign = step["replacement"].as_str().and_then(|text| text.chars().next());
                if step["prepend_scheme"] != "never" {
                    start = Start::SignsOfFirst;
                }
            }
            Some("Replace") if sign.is_none() && step["content"] == " " => {
                let mut pattern = step["pattern"]["String"].as_str().unwrap_or_default().chars();
                sign = pattern.next().filter(|_| pattern.next().is_none());
                if sign.is_none() {
                    return Scheme::Joined;
                }
            }
            Some("ByteFallback") => has_bytes = true,
            Some("Fuse") => {}
            Some("Strip") if step["content"] == " " && step["stop"] == 0 => {
                start = Start::Spaces(step["start"].as_u64().unwrap_or(0) as usize);
            }
            _ => return Scheme::Joined,
        }
    }
    match sign {
        Some(sign) => Scheme::Spaces { sign, has_bytes, start },
        None => Scheme::Joined,
    }
}
