//! `{% generation %}` blocks: what the model is to write itself, which training needs to know the places of.
//! They become filter blocks (`rewrite.rs`) that set marks around their text; the marks are taken out at the end.

use minijinja::{Environment, State, Value};
use serde_json::{Map, Value as Json};

/// The variable that tells the filter its two marks.
pub const MARKS: &str = "__generation_marks";
pub const FILTER: &str = "__generation";

pub fn add(environment: &mut Environment) {
    environment.add_filter(FILTER, |state: &State, text: &str| {
        let marks = state.lookup(MARKS);
        let marks: Vec<char> =
            marks.as_ref().and_then(Value::as_str).unwrap_or_default().chars().collect();
        match marks[..] {
            [open, close] => format!("{open}{text}{close}"),
            _ => text.to_string(),
        }
    });
}

/// Two characters that no text has and that `variables` don't contain either; none where all are used.
pub fn unused_marks(variables: &Map<String, Json>) -> Vec<char> {
    let mut used = [false; 32];
    let mut left: Vec<&Json> = variables.values().collect();
    while let Some(value) = left.pop() {
        match value {
            Json::String(text) => {
                for c in text.chars().filter(|c| ('\u{fdd0}'..='\u{fdef}').contains(c)) {
                    used[c as usize - 0xfdd0] = true;
                }
            }
            Json::Array(items) => left.extend(items),
            Json::Object(pairs) => left.extend(pairs.values()),
            _ => {}
        }
    }
    let free = (0..used.len()).filter(|&at| !used[at]);
    let marks: Vec<char> =
        free.take(2).filter_map(|at| char::from_u32(0xfdd0 + at as u32)).collect();
    if marks.len() == 2 {
        marks
    } else {
        Vec::new()
    }
}

/// `text` without marks, and the ranges of bytes that stood between them.
pub fn unmarked(text: &str, marks: Vec<char>) -> (String, Vec<(usize, usize)>) {
    let [open, close] = marks[..] else { return (text.to_string(), Vec::new()) };
    let mut plain = String::with_capacity(text.len());
    let mut ranges = Vec::new();
    let mut starts = Vec::new();
    for c in text.chars() {
        if c == open {
            starts.push(plain.len());
        } else if c == close {
            if let Some(start) = starts.pop() {
                ranges.push((start, plain.len()));
            }
        } else {
            plain.push(c);
        }
    }
    // A cut text may have lost the end of a block.
    while let Some(start) = starts.pop() {
        ranges.push((start, plain.len()));
    }
    ranges.sort_unstable();
    (plain, ranges)
}
