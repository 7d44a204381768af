//! Chat templates as transformers renders them: Jinja2 with trimmed blocks, loop controls, a clock, and values that look
//! like Python's. A template is a program of a stranger's: what it may compute and how deep it may go is limited.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use serde_json::{json, Map, Value as Json};

use crate::clock::Moment;
use crate::fault::Fault;
use crate::{filters, generation, methods, python, rewrite};

/// Steps of the interpreter for one text; a long conversation takes some 100,000.
const FUEL: u64 = 10_000_000;
const DEEPEST_CALLS: usize = 200;
const LONGEST_TEMPLATE: usize = 4 << 20;
const TEMPLATE: &str = "chat_template";

/// Variables that only this library and its filters know.
pub const CLOCK: &str = "__clock";
/// The text that marks the place where a message to be continued ends.
const CUT: &str = "\u{fdef}";

pub struct ChatTemplate {
    environment: Environment<'static>,
}

pub struct Rendered {
    pub text: String,
    /// Where the bytes stand that `{% generation %}` blocks wrote.
    pub generated: Vec<(usize, usize)>,
}

/// The error of a template itself: `raise_exception(text)`.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

fn raise_exception(message: Value) -> Result<Value, Error> {
    let text = python::show(&message);
    Err(Error::new(ErrorKind::InvalidOperation, text.clone()).with_source(Raised(text)))
}

fn strftime_now(state: &State, pattern: &str) -> Result<Value, Error> {
    state.consume_fuel(1 + (pattern.len() / 4) as u64)?;
    let clock = state.lookup(CLOCK);
    let moment = clock.as_ref().and_then(Value::as_str).and_then(Moment::parse);
    moment
        .map(|moment| Value::from(moment.format(pattern)))
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "there is no clock"))
}

impl ChatTemplate {
    pub fn new(source: &str) -> Result<ChatTemplate, Fault> {
        if source.len() > LONGEST_TEMPLATE {
            return Err(Fault::argument(format!(
                "the template has {} bytes; the most is {LONGEST_TEMPLATE}",
                source.len()
            )));
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| fault(&error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_recursion_limit(DEEPEST_CALLS);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(methods::call);
        environment.set_formatter(|out, _, value| {
            if !value.is_undefined() {
                out.write_str(&python::show(value))?;
            }
            Ok(())
        });
        environment.add_function(rewrite::ITERABLE, rewrite::iterable);
        environment.add_function(rewrite::PRIVATE, rewrite::refuse_private);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.remove_global("debug");
        filters::add(&mut environment);
        generation::add(&mut environment);
        environment
            .add_template_owned(TEMPLATE, rewrite::rewritten(source)?)
            .map_err(|error| fault(&error))?;
        Ok(ChatTemplate { environment })
    }

    /// `variables` are the template's: an object with `messages` and what else it reads.
    /// `clock` is the time as `2026-03-05T14:07:09`.
    pub fn render(&self, variables: &str, clock: &str) -> Result<Rendered, Fault> {
        if Moment::parse(clock).is_none() {
            return Err(Fault::argument(format!(
                "the clock is {clock:?}; it has to look like 2026-03-05T14:07:09"
            )));
        }
        let parsed = serde_json::from_str(variables);
        let parsed: Json = parsed
            .map_err(|error| Fault::argument(format!("the variables are no JSON: {error}")))?;
        let Json::Object(mut variables) = parsed else {
            return Err(Fault::argument("the variables are no JSON object"));
        };
        let is_continued = variables.remove("continue_final_message") == Some(Json::Bool(true));
        complete(&mut variables);
        if is_continued {
            mark_end(&mut variables)?;
        }
        let marks = generation::unused_marks(&variables);
        variables.insert(generation::MARKS.into(), json!(marks.iter().collect::<String>()));
        variables.insert(CLOCK.into(), json!(clock));
        let context: Value = variables
            .iter()
            .map(|(name, value)| (Value::from(name.as_str()), to_value(value)))
            .collect::<ValueMap>()
            .0;

        let template = self.environment.get_template(TEMPLATE).map_err(|error| fault(&error))?;
        let mut text = template.render(context).map_err(|error| fault(&error))?;
        if is_continued {
            cut_at_end(&mut text)?;
        }
        let (text, generated) = generation::unmarked(&text, marks);
        Ok(Rendered { text, generated })
    }
}

/// Collects pairs into a map; the collecting impl of Value itself makes a list.
struct ValueMap(Value);

impl FromIterator<(Value, Value)> for ValueMap {
    fn from_iter<T: IntoIterator<Item = (Value, Value)>>(pairs: T) -> Self {
        ValueMap(Value::from_pairs(pairs))
    }
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(to_value).collect::<Vec<_>>()),
        Json::Object(pairs) => {
            pairs
                .iter()
                .map(|(name, value)| (Value::from(name.as_str()), to_value(value)))
                .collect::<ValueMap>()
                .0
        }
    }
}

/// What every template may rely on: `tools` and `documents`, and a message's reasoning under each of its names.
fn complete(variables: &mut Map<String, Json>) {
    for name in ["tools", "documents"] {
        variables.entry(name).or_insert(Json::Null);
    }
    variables.entry("add_generation_prompt").or_insert(Json::Bool(false));
    let Some(Json::Array(messages)) = variables.get_mut("messages") else { return };
    for message in messages {
        let Json::Object(message) = message else { continue };
        let given = ["reasoning_content", "thinking", "reasoning"]
            .iter()
            .find_map(|name| message.get(*name));
        if let Some(reasoning) = given.filter(|reasoning| !reasoning.is_null()).cloned() {
            message.entry("reasoning_content").or_insert(reasoning.clone());
            message.entry("thinking").or_insert(reasoning);
        }
    }
}

/// Puts CUT behind the last message's text.
fn mark_end(variables: &mut Map<String, Json>) -> Result<(), Fault> {
    let nothing =
        || Fault::argument("continue_final_message: the last message has no text to continue");
    let messages = variables.get_mut("messages").and_then(Json::as_array_mut);
    let content =
        messages.and_then(|messages| messages.last_mut()).and_then(|last| last.get_mut("content"));
    let text = match content {
        Some(Json::Array(parts)) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
        other => other,
    };
    match text {
        Some(Json::String(text)) => {
            text.push_str(CUT);
            text.push(' ');
            Ok(())
        }
        _ => Err(nothing()),
    }
}

/// Cuts `text` where the last message's text ends, and with it what the template trimmed there.
fn cut_at_end(text: &mut String) -> Result<(), Fault> {
    let absent = "continue_final_message: the template does not show the last message";
    let place = text.rfind(CUT).ok_or_else(|| Fault::argument(absent))?;
    let is_kept = text[place + CUT.len()..].starts_with(' ');
    text.truncate(if is_kept { place } else { text[..place].trim_end().len() });
    Ok(())
}

/// The text of the template's own error, or what the engine says and where.
fn fault(error: &Error) -> Fault {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(one) = source {
        if let Some(raised) = one.downcast_ref::<Raised>() {
            return Fault::argument(raised.0.clone());
        }
        source = one.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return Fault::argument(format!(
            "the template computes for too long: it took more than {FUEL} steps"
        ));
    }
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    let line = error.line().map_or(String::new(), |line| format!("line {line} of the template: "));
    let text =
        if error.detail().is_some() { format!("{}: {detail}", error.kind()) } else { detail };
    Fault::argument(line + &text)
}
