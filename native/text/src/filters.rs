//! Jinja2's filters and tests that the engine lacks, or has otherwise.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use crate::{python, rewrite};

pub fn add(environment: &mut Environment) {
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("string", |value: &Value| python::show(value));
    environment.add_filter(rewrite::PERCENT, rewrite::percent);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("wordwrap", wordwrap);
    environment.add_filter("center", center);
    environment.add_filter("filesizeformat", filesizeformat);
    environment.add_filter("striptags", striptags);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("xmlattr", xmlattr);
    environment.add_filter("forceescape", |value: &Value| escaped(&python::show(value)));
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    for name in ["title", "capitalize"] {
        environment.add_filter(name, move |state: &mut State, text: &Value| {
            let text = Value::from(python::show(text));
            crate::methods::call(state, &text, name, &[])
        });
    }
    environment.add_function("joiner", |separator: Option<String>| {
        Value::from_object(Joiner {
            separator: separator.unwrap_or_else(|| ", ".into()),
            is_used: AtomicBool::new(false),
        })
    });
    environment.add_function("cycler", |items: Rest<Value>| {
        Value::from_object(Cycler { items: items.to_vec(), at: AtomicUsize::new(0) })
    });
    environment.add_function("lipsum", || -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, "lipsum is not supported"))
    });
    environment.add_test("callable", is_callable);
}

/// Nothing when it is first called, a separator from then on.
#[derive(Debug)]
struct Joiner {
    separator: String,
    is_used: AtomicBool,
}

impl Object for Joiner {
    fn call(self: &Arc<Self>, _: &mut State, _: &[Value]) -> Result<Value, Error> {
        let is_used = self.is_used.swap(true, Ordering::Relaxed);
        Ok(Value::from(if is_used { self.separator.as_str() } else { "" }))
    }
}

/// Its items in turn.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Cycler {
    fn current(&self) -> Value {
        let at = self.at.load(Ordering::Relaxed);
        self.items.get(at % self.items.len().max(1)).cloned().unwrap_or_default()
    }
}

impl Object for Cycler {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        (key.as_str() == Some("current")).then(|| self.current())
    }
    fn call_method(
        self: &Arc<Self>,
        _: &mut State,
        method: &str,
        _: &[Value],
    ) -> Result<Value, Error> {
        let current = self.current();
        match method {
            "next" => self.at.fetch_add(1, Ordering::Relaxed),
            "reset" => self.at.swap(0, Ordering::Relaxed),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        };
        Ok(if method == "next" { current } else { Value::from(()) })
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => value.as_str()?.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

fn int(
    value: &Value,
    default: Option<Value>,
    base: Option<u32>,
    options: Kwargs,
) -> Result<Value, Error> {
    let default = option(default, &options, "default", Value::from(0))?;
    let base = option(base, &options, "base", 10)?;
    options.assert_all_used()?;
    if value.is_integer() {
        return Ok(value.clone());
    }
    if let Some(text) = value.as_str().filter(|_| (2..=36).contains(&base)) {
        let digits = text.trim().replace('_', "").to_lowercase();
        let prefix = match base {
            16 => "0x",
            8 => "0o",
            2 => "0b",
            _ => "",
        };
        if let Ok(number) =
            i128::from_str_radix(digits.strip_prefix(prefix).unwrap_or(&digits), base)
        {
            return Ok(Value::from(number));
        }
    }
    let number = number_of(value).filter(|number| number.is_finite() && number.abs() < 1e38);
    Ok(number.map_or(default, |number| Value::from(number.trunc() as i128)))
}

fn float(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = option(default, &options, "default", Value::from(0.0))?;
    options.assert_all_used()?;
    Ok(number_of(value).map_or(default, Value::from))
}

fn is_callable(value: &Value) -> bool {
    value.kind() == ValueKind::Plain
}

fn default(
    value: &Value,
    other: Option<Value>,
    boolean: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let other = match other {
        Some(other) => other,
        None => options.get::<Option<Value>>("default_value")?.unwrap_or_else(|| Value::from("")),
    };
    let boolean = boolean.or(options.get::<Option<bool>>("boolean")?).unwrap_or(false);
    options.assert_all_used()?;
    let is_replaced = value.is_undefined() || (boolean && !value.is_true());
    Ok(if is_replaced { other } else { value.clone() })
}

fn option<T>(given: Option<T>, options: &Kwargs, name: &str, otherwise: T) -> Result<T, Error>
where
    T: for<'a> minijinja::value::ArgType<'a, Output = T>,
{
    Ok(match given {
        Some(given) => given,
        None => options.get::<Option<T>>(name)?.unwrap_or(otherwise),
    })
}

fn truncate(
    text: &str,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<String, Error> {
    let length = option(length, &options, "length", 255)?;
    let killwords = option(killwords, &options, "killwords", false)?;
    let end = option(end, &options, "end", "...".into())?;
    let leeway = option(None, &options, "leeway", 5)?;
    options.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.to_string());
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("expected length >= {}, got {length}", end.chars().count()),
        ));
    };
    let cut: String = text.chars().take(kept).collect();
    let cut = if killwords {
        &cut
    } else {
        cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words)
    };
    Ok(format!("{cut}{end}"))
}

fn wordcount(text: &str) -> usize {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
}

fn wordwrap(
    state: &State,
    text: &str,
    width: Option<usize>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = option(width, &options, "width", 79)?.max(1);
    let wrapped = option(None, &options, "wrapstring", "\n".to_string())?;
    options.assert_all_used()?;
    state.consume_fuel((text.len() / 16) as u64)?;
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_whitespace() {
            let mut word: Vec<char> = word.chars().collect();
            let used = current.chars().count();
            if used > 0 && used + 1 + word.len() <= width {
                current.push(' ');
                current.extend(word);
                continue;
            }
            if used > 0 {
                lines.push(std::mem::take(&mut current));
            }
            while word.len() > width {
                lines.push(word.drain(..width).collect());
            }
            current.extend(word);
        }
        lines.push(current);
    }
    Ok(lines.join(&wrapped))
}

fn center(state: &mut State, text: &Value, width: Option<usize>) -> Result<Value, Error> {
    let text = Value::from(python::show(text));
    crate::methods::call(state, &text, "center", &[Value::from(width.unwrap_or(80))])
}

fn filesizeformat(value: f64, binary: Option<bool>) -> String {
    let binary = binary.unwrap_or(false);
    let base = if binary { 1024.0 } else { 1000.0 };
    if value == 1.0 {
        return "1 Byte".into();
    }
    if value < base {
        return format!("{} Bytes", value.trunc());
    }
    let names = "kMGTPEZY".chars().enumerate();
    let (power, letter) = names
        .take_while(|(at, _)| value >= f64::powi(base, *at as i32 + 1))
        .last()
        .unwrap_or((0, 'k'));
    let amount = value / f64::powi(base, power as i32 + 1);
    if binary {
        format!("{amount:.1} {}iB", letter.to_ascii_uppercase())
    } else {
        format!("{amount:.1} {letter}B")
    }
}

fn striptags(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let close = if rest[start..].starts_with("<!--") { "-->" } else { ">" };
        let Some(end) = rest[start..].find(close) else { break };
        plain.push_str(&rest[..start]);
        rest = &rest[start + end + close.len()..];
    }
    plain.push_str(rest);
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(words, |text, (entity, plain)| text.replace(entity, plain))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&#34;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn quoted(text: &str, safe: &[u8]) -> String {
    let mut url = String::new();
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || safe.contains(&byte) {
            url.push(byte as char);
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

fn urlencode(value: &Value) -> Result<String, Error> {
    let pair = |name: &Value, value: &Value| {
        format!("{}={}", quoted(&python::show(name), b""), quoted(&python::show(value), b""))
    };
    let parts: Vec<String> = match value.kind() {
        ValueKind::Map => value
            .try_iter()?
            .map(|name| pair(&name, &value.get_item(&name).unwrap_or_default()))
            .collect(),
        ValueKind::Seq | ValueKind::Iterable => {
            let pairs = value.try_iter()?.map(|item| {
                Ok::<_, Error>(pair(&item.get_item_by_index(0)?, &item.get_item_by_index(1)?))
            });
            pairs.collect::<Result<_, Error>>()?
        }
        _ => return Ok(quoted(&python::show(value), b"/")),
    };
    Ok(parts.join("&"))
}

fn xmlattr(value: &Value, autospace: Option<bool>) -> Result<String, Error> {
    let mut parts = Vec::new();
    for name in value.try_iter()? {
        let content = value.get_item(&name)?;
        if !content.is_none() && !content.is_undefined() {
            parts.push(format!(
                "{}=\"{}\"",
                escaped(&python::show(&name)),
                escaped(&python::show(&content))
            ));
        }
    }
    let lead = if autospace.unwrap_or(true) && !parts.is_empty() { " " } else { "" };
    Ok(lead.to_string() + &parts.join(" "))
}
