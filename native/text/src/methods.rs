//! Python's methods of texts and lists that `minijinja_contrib::pycompat` lacks, or has otherwise.

use minijinja::value::{from_args, Rest, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => of_text(state, value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq => of_list(value, method, args)?,
        _ => None,
    };
    match own {
        Some(answer) => Ok(answer),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn refusal(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

fn of_list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    if method != "index" {
        return Ok(None);
    }
    let (wanted,): (&Value,) = from_args(args)?;
    let position = value.try_iter()?.position(|item| item == *wanted);
    position
        .map(|at| Some(Value::from(at)))
        .ok_or_else(|| refusal(format!("{} is not in list", crate::python::represent(wanted))))
}

fn of_text(
    state: &State,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            rsplit(text, separator, most)?
        }
        "split" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            split(text, separator, most)?
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(refusal("empty separator"));
            }
            let is_first = method == "partition";
            let found =
                if is_first { text.split_once(separator) } else { text.rsplit_once(separator) };
            Value::from(Tuple::from(match found {
                Some((before, after)) => [Value::from(before), separator.into(), after.into()],
                None if is_first => [Value::from(text), "".into(), "".into()],
                None => [Value::from(""), "".into(), text.into()],
            }))
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = text.chars().flat_map(|c| -> Box<dyn Iterator<Item = char>> {
                match c {
                    c if c.is_uppercase() => Box::new(c.to_lowercase()),
                    c if c.is_lowercase() => Box::new(c.to_uppercase()),
                    c => Box::new(std::iter::once(c)),
                }
            });
            Value::from(swapped.collect::<String>())
        }
        "find" | "index" | "rfind" | "rindex" => find(text, method, args)?,
        "center" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let fill = fill.unwrap_or(" ");
            if fill.chars().count() != 1 {
                return Err(refusal("The fill character must be exactly one character long"));
            }
            Value::from(padded(state, text, method, width, fill)?)
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = match text.chars().next() {
                Some(c @ ('+' | '-')) => (c.to_string(), &text[1..]),
                _ => (String::new(), text),
            };
            let width = width.saturating_sub(sign.len());
            Value::from(sign + &padded(state, digits, "rjust", width, "0")?)
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "isdecimal" => {
            let () = from_args(args)?;
            Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))
        }
        "expandtabs" | "encode" | "casefold" | "translate" | "maketrans" => {
            return Err(refusal(format!("the method {method} of texts is not supported")));
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let mut joined = String::new();
            for (number, part) in parts.try_iter()?.enumerate() {
                let Some(part) = part.as_str() else {
                    let kind = type_name(&part);
                    return Err(refusal(format!(
                        "sequence item {number}: expected str instance, {kind} found"
                    )));
                };
                if number > 0 {
                    joined.push_str(text);
                }
                state.consume_fuel(1 + ((text.len() + part.len()) / 64) as u64)?;
                joined.push_str(part);
            }
            Value::from(joined)
        }
        "capitalize" => {
            let () = from_args(args)?;
            let mut letters = text.chars();
            Value::from(
                letters.next().map_or(String::new(), title_case) + &letters.as_str().to_lowercase(),
            )
        }
        "title" => {
            let () = from_args(args)?;
            let mut is_inside = false;
            let mut titled = String::with_capacity(text.len());
            for c in text.chars() {
                if is_inside {
                    titled.extend(c.to_lowercase())
                } else {
                    titled.push_str(&title_case(c))
                }
                is_inside = c.is_alphabetic();
            }
            Value::from(titled)
        }
        _ => return Ok(None),
    }))
}

/// A letter as it starts a word: digraphs and ligatures have forms for that beside their upper case.
fn title_case(c: char) -> String {
    match c {
        'Ǆ'..='ǆ' => "ǅ".into(),
        'Ǉ'..='ǉ' => "ǈ".into(),
        'Ǌ'..='ǌ' => "ǋ".into(),
        'Ǳ'..='ǳ' => "ǲ".into(),
        c => {
            let mut upper = c.to_uppercase();
            let first = upper.next().unwrap_or(c);
            let rest: String = upper.collect();
            if first.is_uppercase() {
                format!("{first}{}", rest.to_lowercase())
            } else {
                format!("{first}{rest}")
            }
        }
    }
}

/// Python's name of a value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Seq if value.is_tuple() => "tuple",
        ValueKind::Seq => "list",
        ValueKind::Map => "dict",
        ValueKind::Undefined => "Undefined",
        _ => "object",
    }
}

fn padded(
    state: &State,
    text: &str,
    method: &str,
    width: usize,
    fill: &str,
) -> Result<String, Error> {
    let missing = width.saturating_sub(text.chars().count());
    state.consume_fuel((missing / 64) as u64)?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd one to the left where the width is odd too.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(fill.repeat(left) + text + &fill.repeat(missing - left))
}

fn find(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, bounds): (&str, Rest<i64>) = from_args(args)?;
    let count = text.chars().count() as i64;
    let place = |at: i64| if at < 0 { (at + count).max(0) } else { at.min(count) };
    let start = bounds.first().map_or(0, |&at| place(at));
    let end = bounds.get(1).map_or(count, |&at| place(at)).max(start);
    let byte =
        |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(offset, _)| offset);
    let (from, to) = (byte(start), byte(end));
    let found = if method.starts_with('r') {
        text[from..to].rfind(wanted)
    } else {
        text[from..to].find(wanted)
    };
    match found {
        Some(offset) => Ok(Value::from(start + text[from..from + offset].chars().count() as i64)),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(refusal("substring not found")),
    }
}

fn split(text: &str, separator: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX - 1);
    let parts: Vec<Value> = match separator {
        Some("") => return Err(refusal("empty separator")),
        Some(separator) => text.splitn(most + 1, separator).map(Value::from).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                let end = if parts.len() == most { None } else { rest.find(char::is_whitespace) };
                let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
                parts.push(Value::from(part));
                rest = after.trim_start();
            }
            parts
        }
    };
    Ok(Value::from(parts))
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX - 1);
    let mut parts: Vec<Value> = match separator {
        Some("") => return Err(refusal("empty separator")),
        Some(separator) => text.rsplitn(most + 1, separator).map(Value::from).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                let space = if parts.len() == most {
                    None
                } else {
                    rest.char_indices().rfind(|(_, c)| c.is_whitespace())
                };
                let start = space.map_or(0, |(at, c)| at + c.len_utf8());
                parts.push(Value::from(&rest[start..]));
                rest = rest[..start].trim_end();
            }
            parts
        }
    };
    parts.reverse();
    Ok(Value::from(parts))
}
