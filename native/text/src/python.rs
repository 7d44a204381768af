//! Values as Python shows them: templates are written for Jinja2, whose values are Python's.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// `str(value)`.
pub fn show(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_string(),
        ValueKind::Number => match float(value) {
            Some(number) => show_float(number),
            None => value.to_string(),
        },
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => represent(value),
        _ => value.to_string(),
    }
}

/// `repr(value)`.
pub fn represent(value: &Value) -> String {
    let mut text = String::new();
    write_repr(&mut text, value);
    text
}

/// The value of a float; None for anything else, integers too.
fn float(value: &Value) -> Option<f64> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    f64::try_from(value.clone()).ok()
}

fn is_plain_iterator(value: &Value) -> bool {
    value.kind() == ValueKind::Iterable && value.len().is_none()
}

fn write_repr(text: &mut String, value: &Value) {
    match value.kind() {
        ValueKind::String => write_quoted(text, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable if !is_plain_iterator(value) => {
            let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
            text.push(open);
            let mut count = 0;
            for item in value.try_iter().into_iter().flatten() {
                if count > 0 {
                    text.push_str(", ");
                }
                write_repr(text, &item);
                count += 1;
            }
            if count == 1 && value.is_tuple() {
                text.push(',');
            }
            text.push(close);
        }
        ValueKind::Map => {
            text.push('{');
            for (number, key) in value.try_iter().into_iter().flatten().enumerate() {
                if number > 0 {
                    text.push_str(", ");
                }
                write_repr(text, &key);
                text.push_str(": ");
                write_repr(text, &value.get_item(&key).unwrap_or_default());
            }
            text.push('}');
        }
        ValueKind::Undefined => text.push_str("Undefined"),
        ValueKind::Number => text.push_str(&show(value)),
        _ => text.push_str(&value.to_string()),
    }
}

fn write_quoted(text: &mut String, content: &str) {
    let quote = if content.contains('\'') && !content.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for c in content.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            c if c == quote => {
                text.push('\\');
                text.push(c);
            }
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c == '\u{ad}' => {
                text.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => text.push(c),
        }
    }
    text.push(quote);
}

/// The shortest digits that read back as `number`, laid out as Python does.
pub fn show_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// How `json.dumps` lays a value out.
struct Layout {
    indent: Option<String>,
    between: String,
    after_key: String,
    ascii: bool,
    sorted: bool,
}

/// transformers' `tojson` filter: json.dumps without the escapes that protect HTML.
pub fn tojson(
    state: &State,
    value: &Value,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Value> = options.get("separators")?;
    let indent = match indent {
        Some(given) => Some(given),
        None => options.get::<Option<Value>>("indent")?,
    };
    options.assert_all_used()?;
    let indent = match indent {
        None => None,
        Some(given) if given.is_none() => None,
        Some(given) => Some(match given.as_str() {
            Some(text) => text.to_string(),
            None => " ".repeat(usize::try_from(given)?.min(1000)),
        }),
    };
    let between = if indent.is_some() { "," } else { ", " };
    let mut layout = Layout {
        indent,
        between: between.into(),
        after_key: ": ".into(),
        ascii: ascii.unwrap_or(false),
        sorted: sorted.unwrap_or(false),
    };
    if let Some(pair) = separators.filter(|pair| !pair.is_none()) {
        let part = |at: usize| pair.get_item_by_index(at).map(|text| show(&text));
        layout.between = part(0)?;
        layout.after_key = part(1)?;
    }
    let mut text = String::new();
    write_json(state, &mut text, value, &layout, 0)?;
    Ok(Value::from(text))
}

const DEEPEST_JSON: usize = 200;

fn write_json(
    state: &State,
    text: &mut String,
    value: &Value,
    layout: &Layout,
    depth: usize,
) -> Result<(), Error> {
    if depth > DEEPEST_JSON {
        return Err(Error::new(
            ErrorKind::BadSerialization,
            format!("tojson: nested deeper than {DEEPEST_JSON}"),
        ));
    }
    state.consume_fuel(1)?;
    match value.kind() {
        ValueKind::None => text.push_str("null"),
        ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => text.push_str(&json_number(value)),
        ValueKind::String => {
            write_json_text(text, value.as_str().unwrap_or_default(), layout.ascii)
        }
        ValueKind::Seq | ValueKind::Iterable if !is_plain_iterator(value) => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_items(state, text, layout, depth, ('[', ']'), items.len(), |text, at| {
                write_json(state, text, &items[at], layout, depth + 1)
            })?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if layout.sorted {
                keys.sort();
            }
            write_items(state, text, layout, depth, ('{', '}'), keys.len(), |text, at| {
                let key = &keys[at];
                let name = match key.kind() {
                    ValueKind::String => key.to_string(),
                    ValueKind::Bool => {
                        if key.is_true() {
                            "true".into()
                        } else {
                            "false".into()
                        }
                    }
                    ValueKind::None => "null".into(),
                    ValueKind::Number => json_number(key),
                    _ => return Err(not_json(key)),
                };
                write_json_text(text, &name, layout.ascii);
                text.push_str(&layout.after_key);
                write_json(state, text, &value.get_item(key)?, layout, depth + 1)
            })?;
        }
        _ => return Err(not_json(value)),
    }
    Ok(())
}

fn not_json(value: &Value) -> Error {
    Error::new(
        ErrorKind::BadSerialization,
        format!("tojson: a value of type {} is not JSON", value.kind()),
    )
}

fn json_number(value: &Value) -> String {
    match float(value) {
        None => value.to_string(),
        Some(number) if number.is_nan() => "NaN".into(),
        Some(number) if number.is_infinite() => {
            if number > 0.0 {
                "Infinity".into()
            } else {
                "-Infinity".into()
            }
        }
        Some(number) => show_float(number),
    }
}

fn write_items(
    state: &State,
    text: &mut String,
    layout: &Layout,
    depth: usize,
    (open, close): (char, char),
    count: usize,
    mut write_item: impl FnMut(&mut String, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    text.push(open);
    let new_line = |text: &mut String, depth: usize| {
        if let Some(indent) = layout.indent.as_ref().filter(|_| count > 0) {
            state.consume_fuel((indent.len() * depth / 64) as u64)?;
            text.push('\n');
            text.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
        Ok::<(), Error>(())
    };
    for at in 0..count {
        if at > 0 {
            text.push_str(&layout.between);
        }
        new_line(text, depth + 1)?;
        write_item(text, at)?;
    }
    new_line(text, depth)?;
    text.push(close);
    Ok(())
}

fn write_json_text(text: &mut String, content: &str, ascii: bool) {
    text.push('"');
    for c in content.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            c if (c as u32) < 0x20 || (ascii && (c as u32) >= 0x7f) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => text.push(c),
        }
    }
    text.push('"');
}
