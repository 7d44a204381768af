//! What goes wrong, by the exception that it becomes.

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Format,
    Argument,
    Unsupported,
}

#[derive(Debug)]
pub struct Fault {
    pub kind: Kind,
    pub text: String,
}

impl Fault {
    pub fn format(text: impl Into<String>) -> Fault {
        Fault { kind: Kind::Format, text: text.into() }
    }
    pub fn argument(text: impl Into<String>) -> Fault {
        Fault { kind: Kind::Argument, text: text.into() }
    }
    pub fn unsupported(text: impl Into<String>) -> Fault {
        Fault { kind: Kind::Unsupported, text: text.into() }
    }
}
