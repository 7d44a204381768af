//! SentencePiece's `tokenizer.model`: a protocol buffer with the pieces, what trained them and how texts are normalized.

use std::cmp::Reverse;

use serde_json::{json, Value as Json};
use tokenizers::models::unigram::Unigram;

use crate::assembly::{added, assemble, pairs_of, BytePairs, Surroundings, SPACE_SIGN};
use crate::fault::Fault;
use crate::tokenizer::Tokenizer;

/// What a piece is; GGUF has the same numbers. persistent: never renumber
pub mod piece_type {
    pub const NORMAL: i32 = 1;
    pub const UNKNOWN: i32 = 2;
    pub const CONTROL: i32 = 3;
    pub const USER_DEFINED: i32 = 4;
    pub const UNUSED: i32 = 5;
    pub const BYTE: i32 = 6;
}

pub struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: i32,
}

/// A vocabulary of SentencePiece's and how texts are normalized for it.
pub struct Vocabulary {
    pub pieces: Vec<Piece>,
    pub is_unigram: bool,
    pub byte_fallback: bool,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub add_bos: bool,
    pub add_eos: bool,
    /// A space in front of every text.
    pub add_space: bool,
    pub remove_extra_spaces: bool,
    pub character_map: Vec<u8>,
}

impl Vocabulary {
    pub fn tokenizer(self) -> Result<Tokenizer, Fault> {
        let frame = |id: Option<u32>, is_wanted: bool, what: &str| match id.filter(|_| is_wanted) {
            None => Ok(Vec::new()),
            Some(id) => match self.pieces.get(id as usize) {
                Some(piece) => Ok(vec![(piece.text.clone(), id)]),
                None => {
                    Err(Fault::format(format!("{what} is token {id} of {}", self.pieces.len())))
                }
            },
        };
        let around = Surroundings {
            normalizer: self.normalizer(),
            pre_tokenizer: Json::Null,
            decoder: self.decoder(),
            before: frame(self.bos, self.add_bos, "the beginning of texts")?,
            behind: frame(self.eos, self.add_eos, "the end of texts")?,
            added: self
                .pieces
                .iter()
                .filter(|piece| {
                    [piece_type::UNKNOWN, piece_type::CONTROL, piece_type::USER_DEFINED]
                        .contains(&piece.kind)
                })
                .map(|piece| added(&piece.text, piece.kind != piece_type::USER_DEFINED))
                .collect(),
        };
        if self.is_unigram {
            assemble(self.unigram()?, around)
        } else {
            assemble(self.byte_pairs().build()?, around)
        }
    }

    fn normalizer(&self) -> Json {
        let mut steps = Vec::new();
        if !self.character_map.is_empty() {
            steps.push(
                json!({"type": "Precompiled", "precompiled_charsmap": base64(&self.character_map)}),
            );
        }
        if self.remove_extra_spaces {
            steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            steps.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
        }
        if self.add_space {
            steps.push(json!({"type": "Prepend", "prepend": SPACE_SIGN}));
        }
        steps.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE_SIGN}));
        json!({"type": "Sequence", "normalizers": steps})
    }

    fn decoder(&self) -> Json {
        let mut steps =
            vec![json!({"type": "Replace", "pattern": {"String": SPACE_SIGN}, "content": " "})];
        if self.byte_fallback {
            steps.push(json!({"type": "ByteFallback"}));
        }
        steps.push(json!({"type": "Fuse"}));
        if self.add_space {
            steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({"type": "Sequence", "decoders": steps})
    }

    fn unknown(&self) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.kind == piece_type::UNKNOWN)
    }

    fn unigram(&self) -> Result<Unigram, Fault> {
        let scores = self.pieces.iter().map(|piece| (piece.text.clone(), f64::from(piece.score)));
        Unigram::from(scores.collect(), self.unknown(), self.byte_fallback)
            .map_err(|error| Fault::format(error.to_string()))
    }

    fn byte_pairs(&self) -> BytePairs {
        let is_made =
            |piece: &&Piece| [piece_type::NORMAL, piece_type::USER_DEFINED].contains(&piece.kind);
        let mut made: Vec<&Piece> = self.pieces.iter().filter(is_made).collect();
        made.sort_by(|a, b| b.score.total_cmp(&a.score));
        let texts: Vec<&[u8]> = made.iter().map(|piece| piece.text.as_bytes()).collect();
        let pairs = pairs_of(&texts, |_, left, right| (Reverse(left.len()), Reverse(right.len())));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        BytePairs {
            tokens: self
                .pieces
                .iter()
                .enumerate()
                .map(|(id, piece)| (piece.text.clone(), id as u32))
                .collect(),
            merges: pairs.into_iter().map(|(left, right)| (text(left), text(right))).collect(),
            unknown: self.unknown().map(|id| self.pieces[id].text.clone()),
            byte_fallback: self.byte_fallback,
            ignore_merges: false,
        }
    }
}

/// Reads the bytes of a `tokenizer.model`.
pub fn from_model(bytes: &[u8], add_bos: bool, add_eos: bool) -> Result<Tokenizer, Fault> {
    let mut vocabulary = Vocabulary {
        pieces: Vec::new(),
        is_unigram: true,
        byte_fallback: false,
        bos: Some(1),
        eos: Some(2),
        add_bos,
        add_eos,
        add_space: true,
        remove_extra_spaces: true,
        character_map: Vec::new(),
    };
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(piece)) => vocabulary.pieces.push(read_piece(piece)?),
            (2, Content::Bytes(trainer)) => read_trainer(&mut vocabulary, trainer)?,
            (3, Content::Bytes(normalizer)) => read_normalizer(&mut vocabulary, normalizer)?,
            _ => {}
        }
    }
    if vocabulary.pieces.is_empty() {
        return Err(Fault::format(format!("there are no pieces in these {} bytes", bytes.len())));
    }
    vocabulary.tokenizer()
}

fn read_piece(bytes: &[u8]) -> Result<Piece, Fault> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: piece_type::NORMAL };
    for field in Fields(bytes) {
        match field? {
            (1, Content::Bytes(text)) => {
                let text = std::str::from_utf8(text)
                    .map_err(|_| Fault::format("a piece is no text in UTF-8"))?;
                piece.text = text.to_string();
            }
            (2, Content::Word(bits)) => piece.score = f32::from_bits(bits),
            (3, Content::Number(kind)) => piece.kind = kind as i32,
            _ => {}
        }
    }
    if piece.score.is_nan() {
        return Err(Fault::format(format!("the piece {:?} has no score", piece.text)));
    }
    Ok(piece)
}

fn read_trainer(vocabulary: &mut Vocabulary, bytes: &[u8]) -> Result<(), Fault> {
    let id = |number: u64| u32::try_from(number).ok().filter(|&id| id <= i32::MAX as u32);
    for field in Fields(bytes) {
        match field? {
            (3, Content::Number(1)) => vocabulary.is_unigram = true,
            (3, Content::Number(2)) => vocabulary.is_unigram = false,
            (3, Content::Number(kind)) => {
                let name = match kind {
                    3 => "word",
                    4 => "character",
                    _ => "unknown",
                };
                return Err(Fault::unsupported(format!(
                    "it is a {name} model ({kind}); unigram (1) and BPE (2) are supported"
                )));
            }
            (24, Content::Number(1)) => {
                return Err(Fault::unsupported("spaces are suffixes in it"))
            }
            (35, Content::Number(flag)) => vocabulary.byte_fallback = flag != 0,
            (41, Content::Number(number)) => vocabulary.bos = id(number),
            (42, Content::Number(number)) => vocabulary.eos = id(number),
            _ => {}
        }
    }
    Ok(())
}

fn read_normalizer(vocabulary: &mut Vocabulary, bytes: &[u8]) -> Result<(), Fault> {
    for field in Fields(bytes) {
        match field? {
            (2, Content::Bytes(map)) => vocabulary.character_map = map.to_vec(),
            (3, Content::Number(flag)) => vocabulary.add_space = flag != 0,
            (4, Content::Number(flag)) => vocabulary.remove_extra_spaces = flag != 0,
            (5, Content::Number(0)) => return Err(Fault::unsupported("spaces have no sign in it")),
            _ => {}
        }
    }
    Ok(())
}

/// The fields of a protocol buffer's message, in the order of its bytes.
struct Fields<'a>(&'a [u8]);

enum Content<'a> {
    Number(u64),
    Word(u32),
    Bytes(&'a [u8]),
    Other,
}

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for place in 0..10 {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let count = usize::try_from(count).ok().filter(|&count| count <= self.0.len())?;
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Content<'a>)> {
        let tag = self.number()?;
        let content = match tag & 7 {
            0 => Content::Number(self.number()?),
            1 => self.take(8).map(|_| Content::Other)?,
            2 => {
                let length = self.number()?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Word(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag >> 3, content))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let left = self.0.len();
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| {
            Fault::format(format!("no protocol buffer: the last {left} bytes are no field"))
        }))
    }
}

pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place > chunk.len() { '=' } else { letter });
        }
    }
    text
}
