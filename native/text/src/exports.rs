//! The functions of `include/mlxnx_text.h`, which documents them. Pointers are as that header says: objects are alive,
//! outputs may be written to.
#![allow(clippy::missing_safety_doc)]

use std::sync::Arc;

use crate::border::{caught, on_large_stack, slice, status, Bytes, Numbers, Span};
use crate::chat::ChatTemplate;
use crate::detokenizer::Detokenizer;
use crate::fault::{Fault, Kind};
use crate::grammar::{Follower, Grammar};
use crate::parts::Parts;
use crate::pieces;
use crate::tokenizer::Tokenizer;
use crate::{sentencepiece, tiktoken};

/// Many threads may use these at once.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Tokenizer>();
    is_shared::<ChatTemplate>();
    is_shared::<Grammar>();
};

pub type SharedTokenizer = Arc<Tokenizer>;

unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        let object = Box::from_raw(object);
        let _ = caught(Kind::Argument, || {
            drop(object);
            Ok(())
        });
    }
}

fn boxed<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

unsafe fn make<T: Send>(
    of_panic: Kind,
    out: *mut *mut T,
    error: *mut Bytes,
    f: impl FnOnce() -> Result<T, Fault> + Send,
) -> i32 {
    status(on_large_stack(of_panic, f).map(|object| out.write(boxed(object))), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_from_json(
    json: Span,
    out: *mut *mut SharedTokenizer,
    error: *mut Bytes,
) -> i32 {
    let bytes = json.bytes();
    make(Kind::Format, out, error, || Tokenizer::from_json(bytes).map(Arc::new))
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_from_sentencepiece(
    model: Span,
    add_bos: i32,
    add_eos: i32,
    out: *mut *mut SharedTokenizer,
    error: *mut Bytes,
) -> i32 {
    let bytes = model.bytes();
    make(Kind::Format, out, error, || {
        sentencepiece::from_model(bytes, add_bos != 0, add_eos != 0).map(Arc::new)
    })
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_from_tiktoken(
    ranks: Span,
    options: Span,
    out: *mut *mut SharedTokenizer,
    error: *mut Bytes,
) -> i32 {
    let (ranks, options) = (ranks.bytes(), options.text("the options"));
    make(Kind::Format, out, error, || {
        let ranks =
            std::str::from_utf8(ranks).map_err(|_| Fault::format("the ranks are no text"))?;
        tiktoken::from_ranks(ranks, options?).map(Arc::new)
    })
}

/// `mlxnx_text_parts`.
#[repr(C)]
pub struct RawParts {
    model: Span,
    pre: Span,
    tokens: *const Span,
    token_count: usize,
    scores: *const f32,
    score_count: usize,
    types: *const i32,
    type_count: usize,
    merges: *const Span,
    merge_count: usize,
    bos: i64,
    eos: i64,
    unknown: i64,
    separator: i64,
    add_bos: i32,
    add_eos: i32,
    add_space_prefix: i32,
    remove_extra_spaces: i32,
    character_map: Span,
}

impl RawParts {
    unsafe fn parts(&self) -> Result<Parts<'_>, Fault> {
        let texts = |spans: *const Span, count: usize, what: &str| -> Result<Vec<&str>, Fault> {
            let spans = slice(spans, count).iter().enumerate();
            spans.map(|(at, span)| span.text(&format!("{what} {at}"))).collect()
        };
        let id = |number: i64, what: &str| match number {
            -1 => Ok(None),
            number => u32::try_from(number)
                .map(Some)
                .map_err(|_| Fault::format(format!("the {what} token is number {number}"))),
        };
        let flag = |number: i32| (number >= 0).then_some(number != 0);
        Ok(Parts {
            model: self.model.text("the model's name")?,
            pre: self.pre.text("the pre-tokenizer's name")?,
            tokens: texts(self.tokens, self.token_count, "token")?,
            scores: slice(self.scores, self.score_count),
            types: slice(self.types, self.type_count),
            merges: texts(self.merges, self.merge_count, "merge")?,
            bos: id(self.bos, "bos")?,
            eos: id(self.eos, "eos")?,
            unknown: id(self.unknown, "unknown")?,
            separator: id(self.separator, "separator")?,
            add_bos: flag(self.add_bos),
            add_eos: flag(self.add_eos),
            add_space_prefix: flag(self.add_space_prefix),
            remove_extra_spaces: flag(self.remove_extra_spaces),
            character_map: self.character_map.bytes(),
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_from_parts(
    parts: *const RawParts,
    out: *mut *mut SharedTokenizer,
    error: *mut Bytes,
) -> i32 {
    let parts = caught(Kind::Format, || (*parts).parts())
        .map_err(|fault| Fault { kind: Kind::Format, ..fault });
    make(Kind::Format, out, error, || parts?.tokenizer().map(Arc::new))
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_free(tokenizer: *mut SharedTokenizer) {
    free(tokenizer);
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_vocabulary_size(tokenizer: &SharedTokenizer) -> usize {
    tokenizer.pieces.size()
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_encode(
    tokenizer: &SharedTokenizer,
    text: Span,
    add_special: i32,
    ids: *mut Numbers,
    offsets: *mut Numbers,
    error: *mut Bytes,
) -> i32 {
    let encoded = caught(Kind::Argument, || {
        let text = text.text("the text")?;
        if offsets.is_null() {
            return tokenizer.encode(text, add_special != 0).map(|ids| (ids, None));
        }
        let (ids, places) = tokenizer.encode_with_offsets(text, add_special != 0)?;
        Ok((ids, Some(Numbers::of_ranges(&places)?)))
    });
    let written = encoded.map(|(found, places)| {
        ids.write(Numbers::new(found));
        if let Some(places) = places {
            offsets.write(places);
        }
    });
    status(written, error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_decode(
    tokenizer: &SharedTokenizer,
    ids: *const u32,
    count: usize,
    skip_special: i32,
    text: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    let decoded = caught(Kind::Argument, || tokenizer.decode(slice(ids, count), skip_special != 0));
    status(decoded.map(|decoded| text.write(Bytes::new(decoded))), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_id_of(tokenizer: &SharedTokenizer, token: Span) -> i64 {
    let id =
        caught(Kind::Argument, || Ok(tokenizer.pipeline.token_to_id(token.text("the token")?)));
    id.ok().flatten().map_or(-1, i64::from)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_token_of(
    tokenizer: &SharedTokenizer,
    id: u32,
    token: *mut Bytes,
) -> i32 {
    match caught(Kind::Argument, || Ok(tokenizer.pipeline.id_to_token(id))) {
        Ok(Some(name)) => {
            token.write(Bytes::new(name));
            1
        }
        _ => 0,
    }
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_piece_of(
    tokenizer: &SharedTokenizer,
    id: u32,
    piece: *mut Bytes,
) -> i32 {
    if tokenizer.pieces.kind(id) == pieces::Kind::Absent {
        return 0;
    }
    piece.write(Bytes::new(tokenizer.pieces.bytes(id)));
    1
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_is_special(tokenizer: &SharedTokenizer, id: u32) -> i32 {
    i32::from(tokenizer.pieces.kind(id) == pieces::Kind::Special)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_tokenizer_to_json(
    tokenizer: &SharedTokenizer,
    out: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    let json = caught(Kind::Argument, || tokenizer.to_json());
    status(json.map(|json| out.write(Bytes::new(json))), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_added_tokens(tokenizer: &SharedTokenizer) -> Bytes {
    Bytes::new(
        caught(Kind::Argument, || Ok(tokenizer.added_tokens())).unwrap_or_else(|_| "[]".into()),
    )
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_detokenizer_new(
    tokenizer: &SharedTokenizer,
    skip_special: i32,
) -> *mut Detokenizer {
    boxed(Detokenizer::new(Arc::clone(tokenizer), skip_special != 0))
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_detokenizer_free(detokenizer: *mut Detokenizer) {
    free(detokenizer);
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_detokenizer_push(
    detokenizer: &mut Detokenizer,
    id: u32,
    text: *mut Bytes,
    error: *mut Bytes,
) -> i32 {
    let pushed = caught(Kind::Argument, || detokenizer.push(id));
    status(pushed.map(|pushed| text.write(Bytes::new(pushed))), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_detokenizer_finish(detokenizer: &mut Detokenizer) -> Bytes {
    Bytes::new(detokenizer.finish())
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_template_new(
    source: Span,
    out: *mut *mut ChatTemplate,
    error: *mut Bytes,
) -> i32 {
    let source = source.text("the template");
    make(Kind::Argument, out, error, || ChatTemplate::new(source?))
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_template_free(template: *mut ChatTemplate) {
    free(template);
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_template_render(
    template: &ChatTemplate,
    variables: Span,
    clock: Span,
    text: *mut Bytes,
    generated: *mut Numbers,
    error: *mut Bytes,
) -> i32 {
    let (variables, clock) = (variables.text("the variables' text"), clock.text("the clock"));
    let rendered = on_large_stack(Kind::Argument, || template.render(variables?, clock?));
    let written =
        rendered.and_then(|rendered| Ok((Numbers::of_ranges(&rendered.generated)?, rendered.text)));
    status(
        written.map(|(ranges, rendered)| {
            generated.write(ranges);
            text.write(Bytes::new(rendered));
        }),
        error,
    )
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_grammar_new(
    tokenizer: &SharedTokenizer,
    ends: *const u32,
    end_count: usize,
    kind: Span,
    source: Span,
    out: *mut *mut Grammar,
    error: *mut Bytes,
) -> i32 {
    let (ends, kind, source) =
        (slice(ends, end_count), kind.text("the kind"), source.text("the grammar"));
    make(Kind::Argument, out, error, || Grammar::new(tokenizer, ends, kind?, source?))
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_grammar_free(grammar: *mut Grammar) {
    free(grammar);
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_new(grammar: &Grammar) -> *mut Follower {
    caught(Kind::Argument, || Ok(boxed(grammar.follower()))).unwrap_or(std::ptr::null_mut())
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_clone(matcher: &Follower) -> *mut Follower {
    caught(Kind::Argument, || Ok(boxed(matcher.clone_deep()))).unwrap_or(std::ptr::null_mut())
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_free(matcher: *mut Follower) {
    free(matcher);
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_mask_words(matcher: &Follower) -> usize {
    matcher.mask_words()
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_mask(
    matcher: &mut Follower,
    words: *mut u32,
    count: usize,
    error: *mut Bytes,
) -> i32 {
    let words = if count == 0 { &mut [][..] } else { std::slice::from_raw_parts_mut(words, count) };
    status(caught(Kind::Argument, || matcher.mask(words)), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_accept(
    matcher: &mut Follower,
    token: u32,
    error: *mut Bytes,
) -> i32 {
    status(caught(Kind::Argument, || matcher.accept(token)), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_count_accepted(
    matcher: &mut Follower,
    tokens: *const u32,
    count: usize,
    accepted: *mut usize,
    error: *mut Bytes,
) -> i32 {
    let counted = caught(Kind::Argument, || matcher.count_accepted(slice(tokens, count)));
    status(counted.map(|counted| accepted.write(counted)), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_rollback(
    matcher: &mut Follower,
    count: usize,
    error: *mut Bytes,
) -> i32 {
    status(caught(Kind::Argument, || matcher.rollback(count)), error)
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_is_stopped(matcher: &Follower) -> i32 {
    i32::from(matcher.is_stopped())
}

#[no_mangle]
pub unsafe extern "C" fn mlxnx_text_matcher_is_accepting(
    matcher: &mut Follower,
    answer: *mut i32,
    error: *mut Bytes,
) -> i32 {
    let accepting = caught(Kind::Argument, || matcher.is_accepting());
    status(accepting.map(|accepting| answer.write(i32::from(accepting))), error)
}
