//! Grammars over a tokenizer's vocabulary: which tokens may come next. The work is llguidance's.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};

use crate::fault::Fault;
use crate::pieces::Kind;
use crate::tokenizer::Tokenizer;

const LONGEST_GRAMMAR: usize = 4 << 20;

/// What llguidance says, without its marks and at a length to be read.
fn refusal(text: &str) -> Fault {
    const LONGEST: usize = 500;
    if text.starts_with("NoExtension") {
        return Fault::argument("no text of the grammar goes on from here");
    }
    let text = text.split("<non-verbose/>").next().unwrap_or_default().trim();
    let cut: String = text.chars().take(LONGEST).collect();
    Fault::argument(if cut.len() < text.len() { cut + "…" } else { cut })
}

/// A compiled grammar; every text that is to follow it gets a clone of `start`.
pub struct Grammar {
    start: Matcher,
    size: usize,
    ends: Arc<[u32]>,
}

/// How far a text has followed a grammar.
pub struct Follower {
    matcher: Matcher,
    size: usize,
    ends: Arc<[u32]>,
    taken: usize,
    /// Ends that were taken after the grammar itself had come to one.
    ends_taken: usize,
}

impl Tokenizer {
    fn grammar_factory(&self, ends: &[u32]) -> Result<Arc<ParserFactory>, Fault> {
        let mut kept = self.grammars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, factory)) = kept.as_ref().filter(|(known, _)| known == ends) {
            return Ok(Arc::clone(factory));
        }
        let size = self.pieces.size();
        let Some(&end) = ends.first() else {
            return Err(Fault::argument("a grammar needs a token that ends the text"));
        };
        if let Some(wrong) = ends.iter().find(|&&id| self.pieces.kind(id) == Kind::Absent) {
            return Err(Fault::argument(format!(
                "the token {wrong} that is to end the text is not among the {size} tokens"
            )));
        }
        let words: Vec<Vec<u8>> = (0..size as u32).map(|id| self.word(id)).collect();
        let trie = TokTrie::from(&TokRxInfo::new(size as u32, end), &words).with_eos_tokens(ends);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = SlicedBiasComputer::general_slices();
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices);
        let mut factory = factory.map_err(|error| refusal(&error.to_string()))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        let factory = Arc::new(factory);
        *kept = Some((ends.to_vec(), Arc::clone(&factory)));
        Ok(factory)
    }

    /// Tokens that are no text are told from texts that look like them by a byte that no text has.
    fn word(&self, id: u32) -> Vec<u8> {
        let bytes = self.pieces.bytes(id);
        match self.pieces.kind(id) {
            Kind::Special => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
            _ => bytes.to_vec(),
        }
    }
}

impl Grammar {
    /// `kind` is "json_schema", "lark" or "regex".
    pub fn new(
        tokenizer: &Tokenizer,
        ends: &[u32],
        kind: &str,
        source: &str,
    ) -> Result<Grammar, Fault> {
        if source.len() > LONGEST_GRAMMAR {
            return Err(Fault::argument(format!(
                "the grammar has {} bytes; the most is {LONGEST_GRAMMAR}",
                source.len()
            )));
        }
        let grammar = match kind {
            "json_schema" => {
                let schema = serde_json::from_str(source);
                TopLevelGrammar::from_json_schema(
                    schema.map_err(|error| {
                        Fault::argument(format!("the schema is no JSON: {error}"))
                    })?,
                )
            }
            "lark" => TopLevelGrammar::from_lark(source.to_string()),
            "regex" => TopLevelGrammar::from_regex(source),
            _ => {
                return Err(Fault::argument(format!("there are no grammars of the kind {kind:?}")))
            }
        };
        let factory = tokenizer.grammar_factory(ends)?;
        let start = Matcher::new(factory.create_parser(grammar));
        match start.get_error() {
            Some(error) => Err(refusal(&error)),
            None => Ok(Grammar { start, size: tokenizer.pieces.size(), ends: ends.into() }),
        }
    }

    pub fn follower(&self) -> Follower {
        Follower {
            matcher: self.start.deep_clone(),
            size: self.size,
            ends: Arc::clone(&self.ends),
            taken: 0,
            ends_taken: 0,
        }
    }
}

impl Follower {
    pub fn mask_words(&self) -> usize {
        self.size.div_ceil(32)
    }

    /// Sets the bit of each token that may come next; where the text is over, of those that end it.
    pub fn mask(&mut self, words: &mut [u32]) -> Result<(), Fault> {
        if words.len() != self.mask_words() {
            return Err(Fault::argument(format!(
                "the mask has {} words, not {}",
                words.len(),
                self.mask_words()
            )));
        }
        let mask =
            self.matcher.compute_mask_or_eos().map_err(|error| refusal(&error.to_string()))?;
        words.fill(0);
        let given = mask.as_slice();
        let count = words.len().min(given.len());
        words[..count].copy_from_slice(&given[..count]);
        if let Some(last) = words.last_mut().filter(|_| self.size % 32 != 0) {
            *last &= (1 << (self.size % 32)) - 1;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }

    /// Goes on by `token`; where it may not come next, the text stays where it is.
    pub fn accept(&mut self, token: u32) -> Result<(), Fault> {
        if self.is_over() && self.ends.contains(&token) {
            self.ends_taken += 1;
            self.taken += 1;
            return Ok(());
        }
        if self.count_accepted(&[token])? == 0 {
            return Err(Fault::argument(format!(
                "the grammar does not allow the token {token} here"
            )));
        }
        self.matcher.consume_token(token).map_err(|error| refusal(&error.to_string()))?;
        self.taken += 1;
        Ok(())
    }

    /// How many of `tokens` may come next, one after the other.
    pub fn count_accepted(&mut self, tokens: &[u32]) -> Result<usize, Fault> {
        if self.is_over() {
            return Ok(tokens.iter().take_while(|token| self.ends.contains(token)).count());
        }
        let known = tokens.iter().take_while(|&&token| (token as usize) < self.size).count();
        self.matcher.validate_tokens(&tokens[..known]).map_err(|error| refusal(&error.to_string()))
    }

    pub fn rollback(&mut self, count: usize) -> Result<(), Fault> {
        if count > self.taken {
            return Err(Fault::argument(format!(
                "{count} tokens can't be taken back: there are {}",
                self.taken
            )));
        }
        self.taken -= count;
        let ends = count.min(self.ends_taken);
        self.ends_taken -= ends;
        if count == ends {
            return Ok(());
        }
        self.matcher.rollback(count - ends).map_err(|error| refusal(&error.to_string()))
    }

    /// Whether nothing may follow.
    pub fn is_stopped(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// Whether the text may end here.
    pub fn is_accepting(&mut self) -> Result<bool, Fault> {
        self.matcher.is_accepting().map_err(|error| refusal(&error.to_string()))
    }

    pub fn clone_deep(&self) -> Follower {
        Follower { matcher: self.matcher.deep_clone(), ends: Arc::clone(&self.ends), ..*self }
    }
}
