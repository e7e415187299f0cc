//! Readings that are brought: an export file, and a gateway. The same way as everything else, once and only once.

use std::collections::BTreeSet;
use std::process::Command;

use ohx_tests::deployment::{API_KEY, Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::both_shapes;

both_shapes!(
    a_file_arrives_once_however_often_it_is_imported,
    what_cannot_be_read_imports_nothing,
    a_gateway_brings_readings_of_its_own_link_only,
);

const PATIENT: &str = "Patient/p1";

const EXPORT: &str = "Zeitraum\n\nvon;01.10.2026\nbis;31.10.2026\n\nAusgewählte Kategorien\n\nBlutdruck;2\nGewicht;1\n\n\
    BLUTDRUCK\nDatum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt\n04.10.2026;07:41;128;82;67;97;0\n05.10.2026;07:39;131;84;70;100;1\n\n\
    Gewicht\nDatum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen\n04.10.2026;07:45;81,40;28,8;31,2;49,6;36,0;2,9\n";

async fn world(shape: Shape) -> (Outside, Deployment, String) {
    let outside = Outside::start().await;
    let deployment = Deployment::start(shape, &outside).await;
    let new = json!({"provider": "beurer", "ehr": "clinic", "patient": PATIENT});
    let (status, link) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!((status, link["state"].as_str()), (201, Some("active")), "{link}");
    assert!(link.get("connect_url").is_none(), "{link}");
    let id = link["id"].as_str().unwrap().to_owned();
    (outside, deployment, id)
}

async fn import(deployment: &Deployment, query: &str, file: impl Into<Vec<u8>>) -> (u16, Value) {
    let url = format!("{}/api/ingestors/imports/?{query}", deployment.api());
    let answer = http().post(url).bearer_auth(API_KEY).body(file.into()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

async fn completed(deployment: &Deployment, sync: &Value) -> Value {
    let path = format!("/api/ingestors/syncs/{}/", sync.as_str().unwrap());
    until("the sync is published", 30, async || {
        let shown = deployment.get(&path).await;
        (shown["completed"] == true).then_some(shown)
    })
    .await
}

/// The Observations of the patient at the EHR.
async fn observations(outside: &Outside) -> Vec<Value> {
    let url = format!("{}/Observation?subject={PATIENT}&_count=1000", outside.fhir_url);
    let bundle: Value = http().get(url).send().await.unwrap().json().await.unwrap();
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|entry| entry["resource"].clone()).collect()
}

fn identifiers(observations: &[Value]) -> BTreeSet<String> {
    observations.iter().map(|o| o["identifier"][0]["value"].as_str().unwrap().to_owned()).collect()
}

async fn a_file_arrives_once_however_often_it_is_imported(shape: Shape) {
    let (outside, deployment, link) = world(shape).await;
    let query = format!("link={link}&zone=Europe/Berlin");
    let (status, dry) = import(&deployment, &format!("{query}&dry_run=true"), EXPORT).await;
    assert_eq!((status, &dry["dry_run"], dry.get("sync")), (200, &json!(true), None), "{dry}");
    assert_eq!(dry["report"]["counts"]["imported"], 3, "{dry}");
    assert_eq!(observations(&outside).await, Vec::<Value>::new());

    let (status, first) = import(&deployment, &query, EXPORT).await;
    assert_eq!(status, 202, "{first}");
    let done = completed(&deployment, &first["sync"]).await;
    let created = done["counts"]["created"].as_u64().unwrap();
    assert_eq!(done["counts"]["rejected"], 0, "{done}");
    let there = observations(&outside).await;
    assert_eq!(there.len() as u64, created);
    assert_eq!(identifiers(&there).len(), there.len(), "each once");
    let panels: Vec<_> = there.iter().filter(|o| o["code"]["coding"][0]["code"] == "85354-9").collect();
    assert_eq!(panels.len(), 2);
    let times: BTreeSet<_> = panels.iter().map(|o| o["effectiveDateTime"].as_str().unwrap()).collect();
    assert!(times.iter().any(|t| t.starts_with("2026-10-04T07:41:00")), "{times:?}");
    let weight = there.iter().find(|o| o["code"]["coding"][0]["code"] == "29463-7").unwrap();
    assert_eq!(weight["valueQuantity"]["unit"], "kg");

    // The same file again, and the next month's, which overlaps it.
    let (_, again) = import(&deployment, &query, EXPORT).await;
    let done = completed(&deployment, &again["sync"]).await;
    assert_eq!((&done["counts"]["created"], &done["counts"]["updated"]), (&json!(0), &json!(0)), "{done}");
    let longer = EXPORT
        .replace("bis;31.10.2026", "bis;15.11.2026")
        .replace("Blutdruck;2", "Blutdruck;3")
        .replace("70;100;1\n", "70;100;1\n10.11.2026;08:00;126;80;66;95;0\n");
    let (_, third) = import(&deployment, &query, longer).await;
    let done = completed(&deployment, &third["sync"]).await;
    assert!(done["counts"]["created"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(done["counts"]["unchanged"].as_u64().unwrap(), created, "{done}");
    let panels =
        observations(&outside).await.iter().filter(|o| o["code"]["coding"][0]["code"] == "85354-9").count();
    assert_eq!(panels, 3);

    // The ledger knows the period that the file states.
    let coverage = deployment.list(&format!("/api/ingestors/coverage/?link={link}")).await;
    let pressure = coverage.as_array().unwrap().iter().find(|c| c["record"] == "blood-pressure").unwrap();
    assert!(
        pressure["published"][0]["start"].as_str().unwrap().starts_with("2026-09-30T22:00:00"),
        "{pressure}"
    );

    // The command line does the same.
    let command = |extra: &[&str]| {
        let file = std::env::temp_dir().join(format!("ohx-e2e-{link}.csv"));
        std::fs::write(&file, EXPORT).unwrap();
        let out = Command::new(ohx_tests::process::binary("ohx"))
            .args(["import", file.to_str().unwrap(), "--link", &link, "--zone", "Europe/Berlin"])
            .args(["--api", deployment.api()])
            .args(extra)
            .env("OHX_API_KEY", API_KEY)
            .output()
            .unwrap();
        std::fs::remove_file(file).unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap() + &String::from_utf8(out.stderr).unwrap())
    };
    let (code, said) = command(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("blood-pressure: 2 reading(s) read") && said.contains("0 new"), "{said}");
    assert!(!deployment.logs().contains("81.4"), "no value in a log");
}

async fn what_cannot_be_read_imports_nothing(shape: Shape) {
    let (outside, deployment, link) = world(shape).await;
    let query = format!("link={link}&zone=Europe/Berlin");
    let ambiguous =
        "Blood pressure\nDate;Time;Sys;Dia;Pulse;MAP;Added manually\n04/10/2026;07:41;128;82;67;97;0\n";
    let cases: [(&str, Vec<u8>, u16, &str); 6] = [
        ("a PDF", b"%PDF-1.7 ...".to_vec(), 400, "pdf"),
        ("UTF-16", "\u{feff}BLUTDRUCK".encode_utf16().flat_map(u16::to_le_bytes).collect(), 400, "utf-16"),
        ("50 MB", vec![b'x'; 50_000_000], 413, ""),
        ("ambiguous dates", ambiguous.into(), 422, "ambiguous-dates"),
        ("a count that is wrong", EXPORT.replace("Blutdruck;2", "Blutdruck;5").into(), 422, "counts"),
        ("nothing of it", b"a;b;c\n1;2;3\n".to_vec(), 400, "not-an-export"),
    ];
    for (what, file, status, code) in cases {
        let (got, problem) = import(&deployment, &query, file).await;
        assert_eq!(got, status, "{what}: {problem}");
        assert_eq!(problem["code"].as_str().unwrap_or(""), code, "{what}: {problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{what}: {problem}");
    }
    assert_eq!(import(&deployment, &format!("link={link}&zone=Mars/Olympus"), EXPORT).await.0, 422);
    assert_eq!(import(&deployment, &format!("link={link}"), EXPORT).await.0, 400, "without a zone");
    assert_eq!(observations(&outside).await, Vec::<Value>::new(), "nothing half-imported");

    // A formula in one row leaves out that row, named by its line, and takes the others.
    let formula = EXPORT.replace("05.10.2026;07:39;131", "05.10.2026;07:39;=1+1");
    let (status, report) = import(&deployment, &query, formula).await;
    assert_eq!(status, 202, "{report}");
    let lines = report["report"]["lines"].as_array().unwrap();
    let left: Vec<_> = lines.iter().filter(|l| l["outcome"] == "left-out").collect();
    assert_eq!((left.len(), &left[0]["reason"]), (1, &json!("formula")), "{report}");
    assert!(completed(&deployment, &report["sync"]).await["counts"]["created"].as_u64().unwrap() > 0);
}

async fn a_gateway_brings_readings_of_its_own_link_only(shape: Shape) {
    let (outside, deployment, link) = world(shape).await;
    let gateway = deployment.get(&format!("/api/base/provider-links/{link}/gateway/")).await;
    let (url, token) = (gateway["url"].as_str().unwrap(), gateway["token"].as_str().unwrap());
    let body = json!({
        "device": {"id": "B0:49:5F:00:10:71", "model": "BM54", "manufacturer": "Beurer"}, "zone": "Europe/Berlin",
        "readings": [
            {"characteristic": "2A35", "hex": "1E8000520061 00EA070A040729 00430001 0000".replace(' ', ""),
             "received": "2026-10-04T07:42:10+02:00"},
            {"characteristic": "2A35", "hex": "1E80", "received": "2026-10-04T07:42:10+02:00"}]});
    let send = async |token: &str| {
        let answer = http().post(url).bearer_auth(token).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    for wrong in ["", "another", API_KEY, &token[1..]] {
        assert_eq!(send(wrong).await.0, 401);
    }
    let (status, taken) = send(token).await;
    assert_eq!((status, &taken["accepted"]), (202, &json!(1)), "{taken}");
    assert_eq!(taken["readings"][1]["outcome"], "refused", "{taken}");
    let done = completed(&deployment, &taken["sync"]).await;
    assert_eq!(done["counts"]["rejected"], 0, "{done}");
    let there = observations(&outside).await;
    let panel = there.iter().find(|o| o["code"]["coding"][0]["code"] == "85354-9").expect("a blood pressure");
    assert_eq!(panel["component"][0]["valueQuantity"]["value"].to_string(), "128");
    assert!(panel["device"]["reference"].as_str().is_some(), "{panel}");

    // Sent again, it is the same reading.
    let (_, again) = send(token).await;
    let done = completed(&deployment, &again["sync"]).await;
    assert_eq!((&done["counts"]["created"], &done["counts"]["updated"]), (&json!(0), &json!(0)), "{done}");
    assert_eq!(observations(&outside).await.len(), there.len());

    // The token dies with the link.
    let (status, ended) =
        deployment.post(&format!("/api/base/provider-links/{link}/disconnect/"), &json!({})).await;
    assert_eq!((status, &ended["at_provider"]), (200, &json!("not-offered")), "{ended}");
    assert_eq!(send(token).await.0, 401);
    assert_eq!(import(&deployment, &format!("link={link}&zone=UTC"), EXPORT).await.0, 409);
}
