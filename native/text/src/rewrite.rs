//! What Jinja2 has and the engine lacks, written with what it has: a template's tags are rewritten before it is compiled.
//!
//! | in the template | becomes |
//! |---|---|
//! | `{% generation %}` … `{% endgeneration %}` | a filter block |
//! | `for x in items` | `for x in __iterable(items)`, which refuses none |
//! | `'a text' % operand` | `('a text' \| __percent(operand))` |
//! | `set name._private = …` | a call that refuses it |

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use crate::fault::Fault;
use crate::{generation, python};

pub const ITERABLE: &str = "__iterable";
pub const PERCENT: &str = "__percent";
pub const PRIVATE: &str = "__private";

pub fn iterable(value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "'NoneType' object is not iterable"));
    }
    Ok(value)
}

pub fn refuse_private(name: &str) -> Result<Value, Error> {
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("a namespace can't have the private attribute {name}"),
    ))
}

pub fn percent(state: &mut State, pattern: &Value, operand: &Value) -> Result<Value, Error> {
    let shown = |value: Value| match value.kind() {
        ValueKind::Seq | ValueKind::None | ValueKind::Bool => Value::from(python::show(&value)),
        _ => value,
    };
    let mut values = vec![pattern.clone()];
    match operand.is_tuple() {
        true => values.extend(operand.try_iter()?.map(shown)),
        false => values.push(shown(operand.clone())),
    }
    // The engine's own filter refuses widths before it makes so long a text.
    state.apply_filter("format", &values)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Space,
    Text,
    Word,
    Sign,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

impl Token<'_> {
    fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// The engine's time and stack grow with the depth of an expression; longer ones than any that is written by hand are refused.
const MOST_TOKENS: usize = 5000;

pub fn rewritten(source: &str) -> Result<String, Fault> {
    let mut text = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source;
    while let Some(start) = rest.find('{') {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = match rest.as_bytes().get(1) {
            Some(b'#') => end_of(rest, "#}", 2),
            Some(b'%') if statement_is(rest, "raw") => raw_length(rest),
            Some(b'%') => tag_length(rest, "%}"),
            Some(b'{') => tag_length(rest, "}}"),
            _ => 1,
        };
        let tag = &rest[..length];
        let is_tag =
            tag.len() > 3 && tag.starts_with(['{']) && (tag.ends_with("%}") || tag.ends_with("}}"));
        if is_tag && !tag.starts_with("{#") && !statement_is(tag, "raw") {
            write_tag(&mut text, tag)?;
        } else {
            text.push_str(tag);
        }
        rest = &rest[length..];
    }
    Ok(text + rest)
}

fn end_of(text: &str, mark: &str, from: usize) -> usize {
    text[from..].find(mark).map_or(text.len(), |at| from + at + mark.len())
}

/// Whether `text` starts with a statement that is this word alone.
fn statement_is(text: &str, word: &str) -> bool {
    let inner =
        text.strip_prefix("{%").map(|inner| inner.trim_start_matches(['-', '+']).trim_start());
    let after = inner.and_then(|inner| inner.strip_prefix(word));
    after.is_some_and(|after| after.trim_start().trim_start_matches(['-', '+']).starts_with("%}"))
}

/// From `{% raw %}` to the end of `{% endraw %}`.
fn raw_length(text: &str) -> usize {
    let mut end = end_of(text, "%}", 2);
    while let Some(at) = text[end..].find("{%") {
        let tag = end + at;
        end = end_of(text, "%}", tag + 2);
        if statement_is(&text[tag..], "endraw") {
            return end;
        }
    }
    text.len()
}

fn tag_length(text: &str, close: &str) -> usize {
    let mut at = 2;
    while at < text.len() {
        if text[at..].starts_with(close) {
            return at + close.len();
        }
        at += next_token(&text[at..]).text.len();
    }
    text.len()
}

fn next_token(text: &str) -> Token<'_> {
    let first = text.chars().next().unwrap_or(' ');
    let while_true = |test: fn(char) -> bool| text.find(|c| !test(c)).unwrap_or(text.len());
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (kind, length) = match first {
        c if c.is_whitespace() => (Kind::Space, while_true(char::is_whitespace)),
        c if is_word(c) => (Kind::Word, while_true(is_word)),
        '"' | '\'' => (Kind::Text, text_length(text, first)),
        '*' | '/' if text[1..].starts_with(first) => (Kind::Sign, 2),
        c => (Kind::Sign, c.len_utf8()),
    };
    Token { kind, text: &text[..length] }
}

fn text_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

fn write_tag(out: &mut String, tag: &str) -> Result<(), Fault> {
    let (inner, close) = tag[2..].split_at(tag.len() - 4);
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        tokens.push(next_token(&inner[at..]));
        at += tokens[tokens.len() - 1].text.len();
    }
    if tokens.len() > MOST_TOKENS {
        let start: String = tag.chars().take(20).collect();
        return Err(Fault::argument(format!("the tag {start:?}… of the template has {} words, signs and spaces; the most is {MOST_TOKENS}", tokens.len())));
    }
    out.push_str(&tag[..2]);
    if tag.starts_with("{%") {
        write_statement(out, &tokens);
    } else {
        write_expression(out, &tokens);
    }
    out.push_str(close);
    Ok(())
}

/// Where the first token is that is no space, from `at` on.
fn solid(tokens: &[Token], at: usize) -> usize {
    at + tokens[at.min(tokens.len())..].iter().take_while(|token| token.kind == Kind::Space).count()
}

fn write_statement(out: &mut String, tokens: &[Token]) {
    let mut start = 0;
    if tokens.first().is_some_and(|token| token.is("-") || token.is("+")) {
        start = 1;
    }
    let name = solid(tokens, start);
    let Some(word) = tokens.get(name).filter(|token| token.kind == Kind::Word) else {
        return write_expression(out, tokens);
    };
    let mut write_plain = |part: &[Token]| part.iter().for_each(|token| out.push_str(token.text));
    write_plain(&tokens[..name]);
    let rest = &tokens[name + 1..];
    match word.text {
        "generation" => out.push_str(&format!("filter {}", generation::FILTER)),
        "endgeneration" => out.push_str("endfilter"),
        _ => out.push_str(word.text),
    }
    match word.text {
        "for" => write_for(out, rest),
        "set" => write_set(out, rest),
        _ => write_expression(out, rest),
    }
}

/// The first of `words` outside of brackets.
fn outside(tokens: &[Token], words: &[&str]) -> Option<usize> {
    let mut depth = 0;
    tokens.iter().position(|token| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.kind == Kind::Word && words.contains(&token.text)
    })
}

fn write_for(out: &mut String, tokens: &[Token]) {
    let Some(start) = outside(tokens, &["in"]) else { return write_expression(out, tokens) };
    let (head, tail) = tokens.split_at(start + 1);
    let mut end = outside(tail, &["if", "recursive"]).unwrap_or(tail.len());
    // The sign of whitespace control, and spaces, stand behind the expression.
    if end == tail.len() && tail.last().is_some_and(|token| token.is("-") || token.is("+")) {
        end -= 1;
    }
    let (items, after) = tail.split_at(end);
    write_expression(out, head);
    out.push_str(&format!(" {ITERABLE}("));
    write_expression(out, items);
    out.push_str(") ");
    write_expression(out, after);
}

fn write_set(out: &mut String, tokens: &[Token]) {
    let solids: Vec<usize> =
        (0..tokens.len()).filter(|&at| tokens[at].kind != Kind::Space).collect();
    if let [_, dot, name, equals, ..] = solids[..] {
        let private = tokens[name].text;
        if tokens[dot].is(".") && tokens[equals].is("=") && private.starts_with('_') {
            tokens[..=equals].iter().for_each(|token| out.push_str(token.text));
            out.push_str(&format!(" {PRIVATE}({private:?}) "));
            let last = &tokens[tokens.len() - 1];
            return if last.is("-") || last.is("+") {
                out.push_str(last.text)
            };
        }
    }
    write_expression(out, tokens);
}

fn write_expression(out: &mut String, tokens: &[Token]) {
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].kind == Kind::Text {
            let mut end = at + 1;
            while tokens.get(solid(tokens, end)).is_some_and(|token| token.kind == Kind::Text) {
                end = solid(tokens, end) + 1;
            }
            let sign = solid(tokens, end);
            let operand = solid(tokens, sign + 1);
            let past = operand_end(tokens, operand);
            if tokens.get(sign).is_some_and(|token| token.is("%")) && past > operand {
                out.push('(');
                tokens[at..end].iter().for_each(|token| out.push_str(token.text));
                out.push_str(&format!("|{PERCENT}("));
                write_expression(out, &tokens[operand..past]);
                out.push_str("))");
                at = past;
                continue;
            }
        }
        out.push_str(tokens[at].text);
        at += 1;
    }
}

/// Where the operand ends that starts at `at`: a name, literal or bracket with its attributes, calls and filters.
fn operand_end(tokens: &[Token], at: usize) -> usize {
    let Some(first) = tokens.get(at) else { return at };
    let mut end = match first.kind {
        Kind::Sign if matches!(first.text, "(" | "[" | "{") => group_end(tokens, at),
        Kind::Sign if matches!(first.text, "-" | "+") => {
            let operand = solid(tokens, at + 1);
            let end = operand_end(tokens, operand);
            return if end > operand { end } else { at };
        }
        Kind::Text | Kind::Word => at + 1,
        _ => return at,
    };
    loop {
        let next = solid(tokens, end);
        match tokens.get(next).filter(|token| token.kind == Kind::Sign).map(|token| token.text) {
            Some("(" | "[") => end = group_end(tokens, next),
            Some("." | "|") if solid(tokens, next + 1) < tokens.len() => {
                end = solid(tokens, next + 1) + 1
            }
            _ => return end,
        }
    }
}

fn group_end(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
