//! A form of many fields: what was filled in, what it stands for at the API, and what is said against it.

use std::collections::BTreeMap;

use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::api::Problem;

/// What fields begin with whose text is a secret: it is sent on, and shown to nobody again.
const SECRET: &str = "secret-";

/// What was filled in, by field.
#[derive(Default, Clone)]
pub(super) struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    pub(super) fn set(&mut self, id: impl Into<String>, value: impl Into<String>) {
        self.0.insert(id.into(), vec![value.into()]);
    }

    pub(super) fn set_all(&mut self, id: impl Into<String>, values: impl IntoIterator<Item = String>) {
        self.0.insert(id.into(), values.into_iter().collect());
    }

    /// The text of a field; empty where it is not there.
    pub(super) fn text(&self, id: &str) -> &str {
        self.0.get(id).and_then(|all| all.first()).map_or("", |text| text.trim())
    }

    /// Every value of a field.
    pub(super) fn all(&self, id: &str) -> &[String] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }

    /// The words of a field, which may be on lines of their own.
    pub(super) fn words(&self, id: &str) -> Vec<&str> {
        self.text(id).split([' ', ',', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect()
    }
}

/// A form that was sent.
pub(super) struct Sent {
    pub(super) token: String,
    /// The state that was seen.
    pub(super) seen: String,
    pub(super) values: Values,
    /// By field, without what their names begin with. Empty ones are left out: they stay as they are.
    pub(super) secrets: BTreeMap<String, SecretString>,
}

impl Sent {
    pub(super) fn read(pairs: Vec<(String, String)>) -> Self {
        let mut sent = Self {
            token: String::new(),
            seen: String::new(),
            values: Values::default(),
            secrets: BTreeMap::new(),
        };
        for (name, value) in pairs {
            match (name.as_str(), name.strip_prefix(SECRET)) {
                ("token", _) => sent.token = value,
                ("seen", _) => sent.seen = value,
                (_, Some(secret)) => {
                    let value = value.trim();
                    if !value.is_empty() {
                        sent.secrets.insert(secret.to_owned(), value.to_owned().into());
                    }
                }
                _ => sent.values.0.entry(name).or_default().push(value),
            }
        }
        sent
    }
}

/// One of several.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// How a field is filled in.
pub(super) enum Control {
    Text,
    Url,
    Number,
    Secret,
    /// Several lines.
    Lines,
    Select(Vec<Choice>),
    /// Any number of them.
    Boxes(Vec<Choice>),
}

/// A field.
pub(super) struct Field {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) control: Control,
    pub(super) value: String,
    pub(super) error: Option<String>,
    /// What somebody else has saved there meanwhile.
    pub(super) theirs: Option<String>,
    pub(super) required: bool,
    /// The ways of authorization that it belongs to, where not to all.
    pub(super) only_for: &'static str,
    /// Where it is in the request.
    pointer: String,
}

impl Field {
    /// A field whose place in the request is `pointer`, such as `#/oauth/scope`.
    pub(super) fn new(id: impl Into<String>, pointer: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            label: label.into(),
            hint: String::new(),
            control: Control::Text,
            value: String::new(),
            error: None,
            theirs: None,
            required: false,
            only_for: "",
            pointer: pointer.into(),
        }
    }

    /// A secret: its id in the form has what tells it from others.
    pub(super) fn secret(name: &str, pointer: impl Into<String>, label: impl Into<String>) -> Self {
        Self { control: Control::Secret, ..Self::new(format!("{SECRET}{name}"), pointer, label) }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    pub(super) fn control(self, control: Control) -> Self {
        Self { control, ..self }
    }

    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) fn only_for(self, only_for: &'static str) -> Self {
        Self { only_for, ..self }
    }

    /// One of several, by value and label.
    pub(super) fn select<'c>(self, choices: impl IntoIterator<Item = (&'c str, &'c str)>) -> Self {
        self.control(Control::Select(choices_of(choices)))
    }

    /// Any of several, by value and label.
    pub(super) fn boxes<'c>(self, choices: impl IntoIterator<Item = (&'c str, &'c str)>) -> Self {
        self.control(Control::Boxes(choices_of(choices)))
    }

    /// The id of what says what is wrong with it, and so on.
    pub(super) fn part(&self, part: &str) -> String {
        format!("{}-{part}", self.id)
    }

    fn fill(&mut self, values: &Values) {
        match &mut self.control {
            Control::Secret => {}
            Control::Select(choices) => {
                let value = values.text(&self.id);
                for choice in choices {
                    choice.chosen = choice.value == value;
                }
            }
            Control::Boxes(choices) => {
                let all = values.all(&self.id);
                for choice in choices {
                    choice.chosen = all.contains(&choice.value);
                }
            }
            _ => values.text(&self.id).clone_into(&mut self.value),
        }
    }

    /// What is filled in, for a person.
    fn shown(&self, values: &Values) -> String {
        let chosen = |choices: &[Choice]| {
            let all = values.all(&self.id);
            let labels = choices.iter().filter(|choice| all.contains(&choice.value));
            labels.map(|choice| choice.label.clone()).collect::<Vec<_>>().join(", ")
        };
        let shown = match &self.control {
            Control::Select(choices) | Control::Boxes(choices) => chosen(choices),
            Control::Secret => String::new(),
            _ => values.text(&self.id).to_owned(),
        };
        if shown.is_empty() { "nothing".to_owned() } else { shown }
    }
}

fn choices_of<'c>(choices: impl IntoIterator<Item = (&'c str, &'c str)>) -> Vec<Choice> {
    let choice = |(value, label): (&str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        chosen: false,
    };
    choices.into_iter().map(choice).collect()
}

/// Fields that belong together.
pub(super) struct Section {
    pub(super) title: &'static str,
    /// Whether it is folded away: what few need.
    pub(super) folded: bool,
    pub(super) fields: Vec<Field>,
}

impl Section {
    /// Whether it is open though it is folded otherwise: something is said in it.
    pub(super) fn open(&self) -> bool {
        self.fields.iter().any(|field| field.error.is_some() || field.theirs.is_some())
    }
}

/// The form.
#[derive(Default)]
pub(super) struct Form {
    pub(super) sections: Vec<Section>,
    /// The state that was seen; nothing where it is new.
    pub(super) seen: String,
    /// Whether somebody else has saved something meanwhile.
    pub(super) conflict: bool,
    /// What is wrong and belongs to no field.
    pub(super) general: Vec<String>,
}

impl Form {
    pub(super) fn new(sections: Vec<Section>, values: &Values, seen: String) -> Self {
        let mut form = Self { sections, seen, ..Self::default() };
        form.fields().for_each(|field| field.fill(values));
        form
    }

    fn fields(&mut self) -> impl Iterator<Item = &mut Field> {
        self.sections.iter_mut().flat_map(|section| section.fields.iter_mut())
    }

    /// Whether anything is wrong.
    pub(super) fn wrong(&self) -> bool {
        !self.general.is_empty() || !self.errors().is_empty()
    }

    /// The id of each field that something is wrong with, and what.
    pub(super) fn errors(&self) -> Vec<(&str, &str)> {
        let fields = self.sections.iter().flat_map(|section| &section.fields);
        fields.filter_map(|field| Some((field.id.as_str(), field.error.as_deref()?))).collect()
    }

    /// Says something against a field.
    pub(super) fn against(&mut self, id: &str, error: impl Into<String>) {
        if let Some(field) = self.fields().find(|field| field.id == id) {
            field.error = Some(error.into());
        }
    }

    /// Numbers that are none.
    pub(super) fn check_numbers(&mut self) {
        let numbers = self.fields().filter(|field| matches!(field.control, Control::Number));
        for field in numbers.filter(|f| !f.value.is_empty() && f.value.parse::<u64>().is_err()) {
            field.error = Some("This has to be a whole number.".to_owned());
        }
    }

    /// What the API says against it, each at its field.
    pub(super) fn place(&mut self, status: StatusCode, problem: Problem) {
        let said = problem.more.errors.into_iter().filter(|error| !error.detail.is_empty());
        let mut placed = false;
        for error in said {
            placed = true;
            let text = sentence(&error.detail);
            // The closest, and of several at the same place the one that is named.
            let near = |field: &&mut Field| {
                let inside = error.pointer.strip_prefix(field.pointer.as_str());
                let inside = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                inside || field.pointer.starts_with(&format!("{}/", error.pointer))
            };
            let name = |field: &Field| field.pointer.rsplit('/').next().unwrap_or_default().to_owned();
            let rank = |field: &Field| {
                (field.pointer == error.pointer, error.detail.contains(&name(field)), field.pointer.len())
            };
            match self.fields().filter(near).max_by_key(|field| rank(field)) {
                Some(field) => field.error = Some(text),
                None => self.general.push(text),
            }
        }
        if !placed {
            self.general.push(match problem.detail {
                Some(detail) => sentence(&detail),
                None => format!("The exchange refuses it, with HTTP {}.", status.as_u16()),
            });
        }
    }

    /// Shows what somebody else has saved meanwhile beside what was filled in; to save again is to save over it.
    pub(super) fn beside(&mut self, mine: &Values, theirs: &Values, seen: String) {
        self.conflict = true;
        self.seen = seen;
        for field in self.fields().filter(|field| !matches!(field.control, Control::Secret)) {
            let (mine, theirs) = (field.shown(mine), field.shown(theirs));
            if mine != theirs {
                field.theirs = Some(theirs);
            }
        }
    }
}

/// What the API says as a sentence of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    // Names of fields stay as they are.
    let first = text.split([' ', ':']).next().unwrap_or_default();
    let begins: String = match letters.next() {
        Some(letter) if !first.contains(['_', '.']) => letter.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    };
    if begins.ends_with(['.', '!', '?']) { begins } else { format!("{begins}.") }
}

/// Puts a text into an object where there is one.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let fields = ["#/client_id", "#/oauth/scope", "#/options/a", "#/options/b"];
        let fields = fields.map(|pointer| Field::new(pointer.replace(['#', '/'], ""), pointer, "x"));
        let section = Section { title: "", folded: false, fields: fields.into() };
        Form::new(vec![section], &Values::default(), String::new())
    }

    #[test]
    fn what_is_wrong_is_said_at_the_closest_field() {
        for (pointer, detail, expected) in [
            ("#/client_id", "no", Some("client_id")),
            ("#/oauth/scope/0", "no", Some("oauthscope")),
            ("#/oauth", "oauth is missing", Some("oauthscope")),
            ("#/options", "option b must be a number", Some("optionsb")),
            ("#/elsewhere", "no", None),
        ] {
            let mut form = form();
            let against = vec![crate::api::Against { pointer: pointer.into(), detail: detail.into() }];
            let more = Box::new(crate::api::More { errors: against, ..Default::default() });
            form.place(StatusCode::UNPROCESSABLE_ENTITY, Problem { more, ..Problem::default() });
            assert_eq!(form.errors().first().map(|(id, _)| *id), expected, "{pointer}");
            assert!(form.wrong());
        }
    }

    #[test]
    fn secrets_are_kept_apart() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let pairs = [("client_id", " x "), ("secret-client_secret", "hidden"), ("secret-token", "")];
        let sent = Sent::read(pairs.map(|(name, value)| pair(name, value)).to_vec());
        assert_eq!(sent.values.text("client_id"), "x");
        assert_eq!(sent.secrets.keys().collect::<Vec<_>>(), ["client_secret"]);
        assert!(sent.values.all("secret-client_secret").is_empty());
    }
}
