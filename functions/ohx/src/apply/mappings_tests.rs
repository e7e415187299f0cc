use std::sync::Arc;

use ohx_domain::{Clock as _, SystemClock};
use ohx_runtime::Settings;
use ohx_seal::{Keyring, generate_key};
use ohx_store_sqlite::SqliteStore;
use secrecy::ExposeSecret as _;

use super::*;
use crate::apply::{Applied, apply, read};

struct World {
    store: SharedStore,
    keyring: Arc<Keyring>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let keys = format!("k:{}", generate_key().expose_secret());
        let keyring = Arc::new(Keyring::parse(&keys.into()).unwrap());
        Self { store, keyring, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn apply(&self, yaml: &str) -> anyhow::Result<(usize, usize)> {
        let mut configuration = read(yaml)?;
        configuration.folder = self.folder.path().to_owned();
        let applied = apply(&configuration, &Settings::default(), &self.keyring, &self.store).await?;
        let Applied { saved, activated, .. } = applied;
        Ok((saved, activated))
    }

    /// The chain of causes, as the command line prints it.
    async fn refused(&self, yaml: &str) -> String {
        format!("{:#}", self.apply(yaml).await.unwrap_err())
    }

    /// Everything there is: versions, and the history of every scope.
    async fn rows(&self) -> String {
        let saved = ohx_store::MappingFilter { limit: 1000, ..Default::default() };
        let versions = self.store.mappings(&saved).await.unwrap();
        let mut history = Vec::new();
        for a in self.store.activations(None).await.unwrap() {
            history.push(self.store.activation_history(&a.mapping, &a.scope, None, 1000).await.unwrap());
        }
        format!("{versions:?} {history:?} {:?}", self.store.ehrs().await.unwrap())
    }
}

fn document(version: u32) -> String {
    let own = ohx_mapping::builtin("withings", "getmeas").unwrap();
    own.replacen("version: 1\n", &format!("version: {version}\n"), 1)
}

const EHR: &str = "ehrs:\n  - { name: clinic, base_url: \"https://ehr.example/fhir\" }\n";
const TWO: &str = "mappings:
  - { file: a.yaml, note: the first }
  - { file: b.yaml }
activations:
  - { mapping: withings/getmeas, scope: \"ehr:clinic\", version: 1000, canary: { version: 1001, percent: 20 } }
  - { mapping: withings/getmeas, scope: global, version: null }
";

#[tokio::test]
async fn applying_twice_changes_nothing() {
    let world = World::new().await;
    // The order of the file is no matter.
    world.file("a.yaml", &document(1001));
    world.file("b.yaml", &document(1000));
    let file = format!("{EHR}{TWO}");
    // Nobody has pointed the global scope anywhere: it says so already.
    assert_eq!(world.apply(&file).await.unwrap(), (2, 1));
    let before = world.rows().await;
    assert!(before.contains("the first"), "{before}");
    assert_eq!(world.apply(&file).await.unwrap(), (0, 0));
    assert_eq!(world.rows().await, before);

    // A newer version, moved to.
    world.file("c.yaml", &document(1002));
    let on = file.replace("version: 1000, canary: { version: 1001, percent: 20 }", "version: 1002");
    let on = on.replace("  - { file: b.yaml }", "  - { file: b.yaml }\n  - { file: c.yaml }");
    assert_eq!(world.apply(&on).await.unwrap(), (1, 1));
    assert_eq!(world.apply(&on).await.unwrap(), (0, 0));
    let scope = "ehr:clinic".parse().unwrap();
    let history = world.store.activation_history("withings/getmeas", &scope, None, 10).await.unwrap();
    let points: Vec<_> = history.iter().map(|a| (a.seq, a.version, a.by.as_str())).collect();
    assert_eq!(points, [(2, Some(1002), "apply"), (1, Some(1000), "apply")]);
}

#[tokio::test]
async fn a_document_may_stand_in_the_file_itself() {
    let world = World::new().await;
    let inline: String = document(1000).lines().map(|l| format!("      {l}\n")).collect();
    let file = format!("mappings:\n  - document: |\n{inline}");
    assert_eq!(world.apply(&file).await.unwrap(), (1, 0));
    let saved = world.store.mapping("withings/getmeas", 1000).await.unwrap().unwrap();
    assert_eq!(saved.document, document(1000));
}

#[tokio::test]
async fn all_is_checked_before_anything_is_written() {
    let world = World::new().await;
    world.file("a.yaml", &document(1000));
    world.file("b.yaml", &document(1001));
    world.file("own.yaml", &document(2));
    world.file("changed.yaml", &document(1000).replace("Body weight", "Weight"));
    world.file("unit.yaml", &document(1002).replacen("value: { unit: kg,", "value: { unit: kgs,", 1));
    world.file("example.yaml", &document(1002).replacen("\"value\": 95.850", "\"value\": 95.85", 1));
    let before = world.rows().await;
    let mapping = |file: &str| format!("{EHR}mappings:\n  - file: a.yaml\n  - {file}\n");
    let active = |of: &str| {
        format!("{EHR}mappings:\n  - file: a.yaml\nactivations:\n  - {{ mapping: withings/getmeas, {of} }}\n")
    };
    for (file, parts) in [
        (mapping("file: none.yaml"), ["none.yaml", "cannot be read"]),
        (mapping("note: neither"), ["mappings[1]", "give a file"]),
        (mapping("{ file: b.yaml, document: x }"), ["mappings[1]", "give a file"]),
        (mapping("file: unit.yaml"), ["unit.yaml: mapping document, line", "kgs"]),
        (mapping("file: example.yaml"), ["example.yaml", "a scale, one group"]),
        (mapping("file: own.yaml"), ["own.yaml", "write `version: 1000`"]),
        (mapping("file: changed.yaml"), ["changed.yaml", "write `version: 1001`"]),
        (active("scope: global, version: 1001"), ["activations[0]", "is not saved"]),
        (active("scope: global, version: 7"), ["activations[0]", "give null"]),
        (active("scope: \"ehr:elsewhere\", version: 1000"), ["ehr:elsewhere does not exist", "configured"]),
        (active("scope: everyone, version: 1000"), ["everyone", "ehr:<name>"]),
        (active("scope: global"), ["version", "missing"]),
        (
            active(
                "scope: global, version: 1000 }\n  - { mapping: withings/getmeas, scope: global, version: null",
            ),
            ["activations[1]", "stand above"],
        ),
        (
            active("scope: global, version: 1000")
                .replace("mapping: withings/getmeas", "mapping: withings/getmood"),
            ["withings/getmood", "withings/getmeas"],
        ),
    ] {
        let said = world.refused(&file).await;
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in {said}");
        assert_eq!(world.rows().await, before, "{said}");
    }
    assert_eq!(world.apply(&mapping("file: b.yaml")).await.unwrap(), (2, 0));
    // What is saved never changes, and nothing is put in between.
    let said = world.refused("mappings:\n  - file: changed.yaml\n").await;
    assert!(said.contains("changed.yaml") && said.contains("write `version: 1002`"), "{said}");
}

#[tokio::test]
async fn a_saved_version_that_no_longer_holds_is_not_activated() {
    let world = World::new().await;
    let document = document(1000).replacen("\"value\": 95.850", "\"value\": 95.85", 1);
    let name = "withings/getmeas".to_owned();
    let new = NewMapping { name, document, note: None, by: "test".into() };
    world.store.save_mapping(&new, 1000, SystemClock.now()).await.unwrap();
    let said = world
        .refused("activations:\n  - { mapping: withings/getmeas, scope: global, version: 1000 }\n")
        .await;
    assert!(said.contains("cannot be activated") && said.contains("a scale, one group"), "{said}");
}
