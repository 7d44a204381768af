//! Text from tokens that come one by one: what is answered is whole characters, and is never taken back.

use std::sync::Arc;

use crate::fault::Fault;
use crate::pieces::{Kind, Scheme, Start};
use crate::tokenizer::Tokenizer;

pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    /// Bytes of a character that is not whole yet.
    pending: Vec<u8>,
    /// What is still to be left out of the start.
    start: Start,
    /// The token before, where text depends on neighbours.
    last: Option<u32>,
}

impl Detokenizer {
    pub fn new(tokenizer: Arc<Tokenizer>, skip_special: bool) -> Detokenizer {
        let mut detokenizer = Detokenizer {
            tokenizer,
            skip_special,
            pending: Vec::new(),
            start: Start::Nothing,
            last: None,
        };
        detokenizer.reset();
        detokenizer
    }

    pub fn reset(&mut self) {
        self.pending.clear();
        self.last = None;
        self.start = match self.tokenizer.pieces.scheme {
            Scheme::Spaces { start, .. } => start,
            _ => Start::Nothing,
        };
    }

    /// The text that `id` completes; a number without a token has none.
    pub fn push(&mut self, id: u32) -> Result<String, Fault> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let pieces = &tokenizer.pieces;
        let kind = pieces.kind(id);
        if kind == Kind::Absent || (kind == Kind::Special && self.skip_special) {
            return Ok(String::new());
        }
        match pieces.scheme {
            Scheme::Joined => return self.push_joined(id),
            Scheme::ByteLevel => self.pending.extend(pieces.bytes(id)),
            Scheme::Spaces { .. } => {
                let bytes = self.without_start(pieces.bytes(id));
                self.pending.extend(bytes);
            }
        }
        Ok(take_whole(&mut self.pending))
    }

    /// What is left: a replacement character for a character that never became whole.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.reset();
        rest
    }

    fn without_start(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self.start {
            Start::Nothing => bytes.to_vec(),
            Start::SignsOfFirst => {
                self.start = Start::Nothing;
                bytes.iter().copied().filter(|&byte| byte != b' ').collect()
            }
            Start::Spaces(most) => {
                let spaces = bytes.iter().take(most).take_while(|&&byte| byte == b' ').count();
                let is_over = spaces < bytes.len() || spaces == most;
                self.start = if is_over { Start::Nothing } else { Start::Spaces(most - spaces) };
                bytes[spaces..].to_vec()
            }
        }
    }

    /// The text of two tokens, less that of the first.
    fn push_joined(&mut self, id: u32) -> Result<String, Fault> {
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, false);
        let text = match self.last {
            None => decode(&[id])?,
            Some(last) => {
                let (before, both) = (decode(&[last])?, decode(&[last, id])?);
                match both.strip_prefix(&before) {
                    Some(added) => added.to_string(),
                    None => decode(&[id])?,
                }
            }
        };
        self.last = Some(id);
        Ok(text)
    }
}

/// Takes whole characters off the front; what can't become one is replaced, as `from_utf8_lossy` does.
fn take_whole(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(pending) {
            Ok(whole) => {
                text.push_str(whole);
                pending.clear();
                return text;
            }
            Err(error) => {
                let valid = error.valid_up_to();
                text.push_str(&String::from_utf8_lossy(&pending[..valid]));
                let Some(wrong) = error.error_len() else {
                    pending.drain(..valid);
                    return text;
                };
                text.push('\u{fffd}');
                pending.drain(..valid + wrong);
            }
        }
    }
}
