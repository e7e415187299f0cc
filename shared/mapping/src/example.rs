//! The examples of a document, run: its own tests.

use ohx_domain::{Instant, Interval, InvalidId, Sensitive, account_pseudonym};

use crate::error::ExampleError;
use crate::json::Node;
use crate::mapped::Context;
use crate::plan::{Example, Mapping};

impl Mapping {
    /// Maps the page of every example, and compares what comes out with what the example expects: as many
    /// Observations, each with at least the members that are written, numbers with the same digits.
    ///
    /// They are mapped in the [`Mapping::example_context`].
    ///
    /// # Errors
    /// [`ExampleError`] for the first example that does not hold.
    pub fn check_examples(&self) -> Result<(), ExampleError> {
        for example in &self.examples {
            self.check(example).map_err(|what| ExampleError {
                mapping: self.name.clone(),
                example: example.name.clone(),
                what,
            })?;
        }
        Ok(())
    }

    /// The names of its examples, in its order.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().map(|e| e.name.as_str())
    }

    /// For whom pages are mapped that belong to nobody, such as examples and recorded ones: `Patient/example`, the
    /// account `example`, under `https://ohx.example/ns`, as pages that hold everything.
    ///
    /// # Errors
    /// [`InvalidId`] where the provider in the document's name cannot be a provider's.
    pub fn example_context(&self) -> Result<Context, InvalidId> {
        let provider = self.name.split('/').next().unwrap_or_default().parse()?;
        let subject = "Patient/example".parse()?;
        let account = account_pseudonym(&provider, &Sensitive::new("example".into()), &subject);
        let base = "https://ohx.example/ns".to_owned();
        let covers = Interval::new(Instant::MIN, Instant::MAX);
        Ok(Context { identifier_base: base, provider, account, subject, covers })
    }

    fn check(&self, example: &Example) -> Result<(), String> {
        let context = self.example_context().map_err(|e| e.to_string())?;
        let mapped = self.map(example.page.as_bytes(), &context).map_err(|e| e.to_string())?;
        let unread = |e: crate::error::PageError| format!("{} at byte {}", e.what, e.at);
        let expected = Node::parse(example.expect.as_bytes()).map_err(unread)?;
        let Node::Array(expected) = expected else { return Err("`expect` is not a list".into()) };
        if mapped.observations.len() != expected.len() {
            let kinds: Vec<&str> = mapped.observations.iter().map(|o| &*o.kind).collect();
            let (got, wanted) = (kinds.len(), expected.len());
            return Err(format!(
                "{got} Observations came out ({}), {wanted} are expected; skipped: {:?}",
                kinds.join(", "),
                mapped.skipped
            ));
        }
        for (n, (observation, expected)) in mapped.observations.iter().zip(&expected).enumerate() {
            let actual = Node::parse(observation.resource.get().as_bytes()).map_err(unread)?;
            within(expected, &actual, &format!("[{n}]"))?;
        }
        if let Some(expected) = &example.skipped {
            let expected: std::collections::BTreeMap<_, _> = expected.iter().cloned().collect();
            if expected != mapped.skipped {
                return Err(format!("skipped: {:?}, expected {expected:?}", mapped.skipped));
            }
        }
        Ok(())
    }
}

/// Whether everything in `expected` is in `actual`: members of objects may be more, lists are compared item by item.
fn within(expected: &Node<'_>, actual: &Node<'_>, path: &str) -> Result<(), String> {
    match (expected, actual) {
        (Node::Object(members), Node::Object(_)) => members.iter().try_for_each(|(name, value)| {
            let found = actual.get(name).ok_or_else(|| format!("{path}.{name} is missing"))?;
            within(value, found, &format!("{path}.{name}"))
        }),
        (Node::Array(expected), Node::Array(actual)) if expected.len() == actual.len() => expected
            .iter()
            .zip(actual)
            .enumerate()
            .try_for_each(|(n, (e, a))| within(e, a, &format!("{path}[{n}]"))),
        _ if expected == actual => Ok(()),
        _ => Err(format!("{path} is {}, expected {}", shown(actual), shown(expected))),
    }
}

fn shown(node: &Node<'_>) -> String {
    match node {
        Node::Null => "null".into(),
        Node::Bool(b) => b.to_string(),
        Node::Number(text) => text.to_string(),
        Node::Text(text) => format!("{text:?}"),
        Node::Array(items) => format!("a list of {}", items.len()),
        Node::Object(_) => "an object".into(),
    }
}
