//! The page of one thing that is set up: what to register elsewhere, the live test, and the form.

use askama::Template;

use super::form::{Control, Form};
use crate::Console;
use crate::page::Frame;
use crate::session::SignedIn;

/// What it is that is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Provider,
    Ehr,
}

/// How a step of the test ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Well,
    Badly,
    /// It was not tried.
    Not,
    /// No step, but good to know.
    Note,
}

/// A step of the live test.
pub(super) struct Step {
    pub(super) happened: Happened,
    pub(super) title: String,
    pub(super) text: Option<String>,
    /// What to do.
    pub(super) advice: Option<&'static str>,
}

impl Step {
    pub(super) fn new(happened: Happened, title: impl Into<String>, text: impl IntoText) -> Self {
        Self { happened, title: title.into(), text: text.into_text(), advice: None }
    }

    /// For who does not see the mark.
    pub(super) fn word(&self) -> &'static str {
        match self.happened {
            Happened::Well => "Well",
            Happened::Badly => "Not well",
            Happened::Not => "Not tried",
            Happened::Note => "Note",
        }
    }

    pub(super) fn class(&self) -> &'static str {
        match self.happened {
            Happened::Well => "well",
            Happened::Badly => "badly",
            Happened::Not => "not",
            Happened::Note => "not",
        }
    }
}

/// A text that may be missing.
pub(super) trait IntoText {
    fn into_text(self) -> Option<String>;
}

impl IntoText for &str {
    fn into_text(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl IntoText for String {
    fn into_text(self) -> Option<String> {
        Some(self)
    }
}

impl IntoText for Option<String> {
    fn into_text(self) -> Option<String> {
        self
    }
}

/// An address that has to be registered elsewhere.
pub(super) struct Address {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    pub(super) value: String,
}

impl Address {
    pub(super) fn new(id: &'static str, label: &'static str, value: &str) -> Self {
        Self { id, label, value: value.to_owned() }
    }
}

#[derive(Template)]
#[template(path = "set-up-edit.html")]
pub(super) struct EditPage {
    frame: Frame,
    token: String,
    style: &'static str,
    script: &'static str,
    kind: Kind,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) note: Option<&'static str>,
    /// What is missing before it can be used.
    pub(super) missing: Option<&'static str>,
    /// What to register where, in words.
    pub(super) registering: String,
    pub(super) addresses: Vec<Address>,
    /// What the live test does; nothing where there is nothing to test yet.
    pub(super) test: Option<&'static str>,
    /// What it found.
    pub(super) steps: Vec<Step>,
    /// Where the form goes; the test goes to `check/` below.
    pub(super) action: String,
    pub(super) button: &'static str,
    form: Form,
}

impl EditPage {
    pub(super) fn new(console: &Console, signed_in: &SignedIn, kind: Kind, form: Form) -> Self {
        Self {
            frame: Frame::new(console, Some(&signed_in.session)).below("/set-up/"),
            token: console.sessions.token(&signed_in.session),
            style: &super::STYLE.name,
            script: &super::SCRIPT.name,
            kind,
            title: String::new(),
            lead: String::new(),
            note: None,
            missing: None,
            registering: String::new(),
            addresses: Vec::new(),
            test: None,
            steps: Vec::new(),
            action: String::new(),
            button: "Save",
            form,
        }
    }

    /// The outcome of the test in a few words.
    fn outcome(&self) -> &'static str {
        if self.steps.iter().any(|step| step.happened == Happened::Badly) {
            "The test found something to put right"
        } else if self.steps.iter().any(|step| step.happened == Happened::Well) {
            "The test went well"
        } else {
            "The test could not begin"
        }
    }

    /// Whether a secret has to be entered again where there is no script that keeps it.
    fn has_secrets(&self) -> bool {
        let mut fields = self.form.sections.iter().flat_map(|section| &section.fields);
        fields.any(|field| matches!(field.control, Control::Secret))
    }
}
