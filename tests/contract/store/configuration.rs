//! Provider apps, EHR endpoints, and the schema.

use std::collections::BTreeMap;

use ohx_domain::{EhrAuth, EhrEndpoint, ProviderApp, WriteStrategy};

use crate::rig::{Database, Rig};
use crate::samples::at;

crate::promises!(
    a_provider_is_read_back,
    an_app_that_names_no_records_is_read_back,
    an_ehr_is_read_back,
    a_secret_stays_unless_a_new_one_is_given,
    what_is_put_again_is_replaced,
    lists_are_by_name,
    a_database_that_is_up_answers,
    many_processes_may_migrate_an_empty_database_at_once,
    migrating_again_changes_nothing,
);

pub(crate) fn app(name: &str) -> ProviderApp {
    ProviderApp {
        name: name.parse().unwrap(),
        kind: "withings".to_owned(),
        client_id: "client \"1\"".to_owned(),
        base_urls: BTreeMap::from([("api".to_owned(), "https://wbsapi.example/".parse().unwrap())]),
        scopes: vec!["user.metrics".to_owned()],
        records: vec!["getmeas".parse().unwrap(), "sleep-getsummary".parse().unwrap()],
        requests_per_minute: Some(120),
        notify_from: vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        options: BTreeMap::from([("notifications".to_owned(), "registered".to_owned())]),
    }
}

fn endpoint(name: &str) -> EhrEndpoint {
    EhrEndpoint {
        title: Some("St. Anna Hospital".to_owned()),
        auth: EhrAuth::Bearer,
        strategy: WriteStrategy::ConditionalCreate,
        batch_size: 50,
        ..EhrEndpoint::new(name.parse().unwrap(), "https://ehr.example/fhir".parse().unwrap())
    }
}

async fn a_provider_is_read_back(rig: Rig) {
    let app = app("withings");
    assert_eq!(rig.store.provider(&app.name).await.unwrap(), None);
    rig.store.put_provider(&app, Some(&[0, 1, 255]), at(0)).await.unwrap();
    assert_eq!(rig.other.provider(&app.name).await.unwrap(), Some((app, Some(vec![0, 1, 255]))));
}

async fn an_app_that_names_no_records_is_read_back(rig: Rig) {
    let app = ProviderApp { records: Vec::new(), ..app("withings") };
    rig.store.put_provider(&app, None, at(0)).await.unwrap();
    assert_eq!(rig.other.providers().await.unwrap(), [app]);
}

async fn an_ehr_is_read_back(rig: Rig) {
    let ehr = endpoint("clinic");
    assert_eq!(rig.store.ehr(&ehr.name).await.unwrap(), None);
    rig.store.put_ehr(&ehr, None, at(0)).await.unwrap();
    assert_eq!(rig.other.ehr(&ehr.name).await.unwrap(), Some((ehr, None)));
}

async fn a_secret_stays_unless_a_new_one_is_given(rig: Rig) {
    let (app, ehr) = (app("withings"), endpoint("clinic"));
    for (given, expected) in [(None, None), (Some(1), Some(1)), (None, Some(1)), (Some(2), Some(2))] {
        let given = given.map(|byte: u8| vec![byte]);
        rig.store.put_provider(&app, given.as_deref(), at(0)).await.unwrap();
        rig.store.put_ehr(&ehr, given.as_deref(), at(0)).await.unwrap();
        let expected = expected.map(|byte: u8| vec![byte]);
        assert_eq!(rig.store.provider(&app.name).await.unwrap().unwrap().1, expected);
        assert_eq!(rig.store.ehr(&ehr.name).await.unwrap().unwrap().1, expected);
    }
}

async fn what_is_put_again_is_replaced(rig: Rig) {
    rig.store.put_provider(&app("withings"), None, at(0)).await.unwrap();
    let changed = ProviderApp { requests_per_minute: None, scopes: Vec::new(), ..app("withings") };
    rig.store.put_provider(&changed, None, at(1)).await.unwrap();
    assert_eq!(rig.store.providers().await.unwrap(), [changed]);
    rig.store.put_ehr(&endpoint("clinic"), None, at(0)).await.unwrap();
    let changed = EhrEndpoint { batch_size: 1, ..endpoint("clinic") };
    rig.store.put_ehr(&changed, None, at(1)).await.unwrap();
    assert_eq!(rig.store.ehrs().await.unwrap(), [changed]);
}

async fn lists_are_by_name(rig: Rig) {
    assert!(rig.store.providers().await.unwrap().is_empty());
    assert!(rig.store.ehrs().await.unwrap().is_empty());
    // A locale would not sort these by their bytes.
    for name in ["b", "a1", "a-b", "ab"] {
        rig.store.put_provider(&app(name), None, at(0)).await.unwrap();
        rig.store.put_ehr(&endpoint(name), None, at(0)).await.unwrap();
    }
    let providers = rig.store.providers().await.unwrap();
    assert_eq!(providers.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a-b", "a1", "ab", "b"]);
    let ehrs = rig.store.ehrs().await.unwrap();
    assert_eq!(ehrs.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a-b", "a1", "ab", "b"]);
}

async fn a_database_that_is_up_answers(rig: Rig) {
    rig.store.ping().await.unwrap();
}

async fn many_processes_may_migrate_an_empty_database_at_once(rig: Rig) {
    let database = Database::create(rig.engine).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let store = database.open().await;
        tasks.spawn(async move { store.migrate().await });
    }
    for migrated in tasks.join_all().await {
        migrated.unwrap();
    }
    assert!(database.open().await.providers().await.unwrap().is_empty());
    database.remove().await;
}

async fn migrating_again_changes_nothing(rig: Rig) {
    rig.store.put_provider(&app("withings"), None, at(0)).await.unwrap();
    rig.store.migrate().await.unwrap();
    assert_eq!(rig.store.providers().await.unwrap().len(), 1);
}
