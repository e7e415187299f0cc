//! All that fails: providers and EHRs that lie, refreshes that are refused, requests that are wrong.

use super::*;

impl World {
    /// Each liar says each lie, while its link is read.
    pub(super) async fn lies_of_providers(&mut self, links: &[(&str, String)]) {
        let lies = [
            Lie::NumbersAsTexts,
            Lie::TextsGarbled,
            Lie::ListsAsObjects,
            Lie::CutOff,
            Lie::NoJson,
            Lie::Html(200),
            Lie::Error(400),
            Lie::Error(404),
            Lie::Coded(403, "forbidden"),
            Lie::Html(502),
            Lie::Error(500),
        ];
        let told = links.iter().map(async |(provider, link)| {
            let gossip = &self.liars.iter().find(|(name, _)| name == provider).expect("a liar").1;
            let mut answers = Vec::new();
            let own = [Lie::Envelope(2555), Lie::Envelope(100), Lie::Envelope(293)];
            let own = own.into_iter().filter(|_| *provider == "withings");
            for lie in lies.into_iter().chain(own) {
                gossip.lie(About::Data, lie);
                let sync = self.sync(link).await;
                for _ in 0..80 {
                    if gossip.waiting() == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                if let Some(id) = sync["id"].as_str() {
                    answers.push(self.deployment.get(&format!("/api/ingestors/syncs/{id}/")).await);
                }
                gossip.forget();
            }
            (gossip.lied(), answers)
        });
        let told = join_all(told).await;
        let counts: Vec<_> = links.iter().zip(&told).map(|((name, _), (lied, _))| (*name, *lied)).collect();
        println!("lies: {counts:?}");
        assert!(counts.iter().all(|(_, lied)| *lied >= 6), "most were told: {counts:?}");
        self.answers.extend(told.into_iter().flat_map(|(_, answers)| answers));
    }

    /// The EHR too: while readings are written to it, and while somebody has it examined.
    pub(super) async fn lies_of_ehrs(&mut self, link: &str) {
        let lies = [
            (About::Writes, Lie::Error(422)),
            (About::Writes, Lie::CutOff),
            (About::Writes, Lie::ListsAsObjects),
            (About::Writes, Lie::TextsGarbled),
            (About::Reads, Lie::NumbersAsTexts),
            (About::Reads, Lie::TextsGarbled),
            (About::Reads, Lie::Error(400)),
            (About::Writes, Lie::Html(200)),
            (About::Writes, Lie::Error(401)),
            (About::Writes, Lie::Error(403)),
            (About::Writes, Lie::Error(500)),
        ];
        for (n, (about, lie)) in lies.into_iter().enumerate() {
            self.ehr.lie(about, lie);
            self.outside.withings.weigh_now(WITHINGS, &format!("7{n}.5")).ok();
            self.sync(link).await;
            for _ in 0..60 {
                if self.ehr.waiting() == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if self.ehr.waiting() > 0 {
                // An EHR that said no is left alone for a while; whoever examines it asks at once.
                for name in ["clinic", "lab"] {
                    let path = format!("/api/publishers/ehr-endpoints/{name}/check/");
                    self.answers.push(self.deployment.post(&path, &Value::Null).await.1);
                }
            }
            self.ehr.forget();
        }
        self.issuer.lie(About::Tokens, Lie::Error(400));
        self.issuer.lie(About::Tokens, Lie::Coded(401, "invalid_client"));
        self.issuer.lie(About::Tokens, Lie::NoJson);
        for name in ["clinic", "lab", "registry"] {
            self.issuer.lie(About::Data, Lie::Error(401));
            let path = format!("/api/publishers/ehr-endpoints/{name}/check/");
            for _ in 0..2 {
                self.answers.push(self.deployment.post(&path, &Value::Null).await.1);
            }
        }
        self.issuer.forget();
        println!("lies of the EHRs: {} and {}", self.ehr.lied(), self.issuer.lied());
        assert!(self.ehr.lied() >= 6, "most were told");
        let letters = self.deployment.get("/api/publishers/dead-letters/").await;
        assert!(
            letters["items"].as_array().is_some_and(|all| !all.is_empty()),
            "the refused reading is a dead letter"
        );
    }

    /// Tokens that are refused, by somebody who quotes them.
    pub(super) async fn refused_refreshes(&mut self, links: &[(&str, String)]) {
        for (provider, link) in links {
            let gossip = &self.liars.iter().find(|(name, _)| name == provider).expect("a liar").1;
            for lie in [Lie::Error(500), Lie::NoJson, Lie::Coded(400, "invalid_grant"), Lie::Envelope(503)] {
                gossip.lie(About::Tokens, lie);
                gossip.lie(
                    About::Data,
                    if *provider == "withings" {
                        Lie::Envelope(401)
                    } else {
                        Lie::Coded(401, "expired_token")
                    },
                );
                self.sync(link).await;
                for _ in 0..40 {
                    if gossip.waiting() == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                gossip.forget();
            }
        }
    }

    /// Whoever calls us says things too.
    pub(super) async fn bad_requests(&mut self, links: &[(&str, String)]) {
        let public = self.deployment.public_url();
        let body =
            json!({"userid": QUOTES, "appli": QUOTES, "weight": 77.891_234_56, "data": [QUOTES]}).to_string();
        for (provider, link) in links {
            for path in [
                format!("webhook/{provider}"),
                format!("webhook/{provider}/{link}/wrong"),
                format!("webhook/{provider}/{QUOTES}"),
            ] {
                for kind in ["application/json", "application/x-www-form-urlencoded"] {
                    let mut url: url::Url = format!("{public}/").parse().unwrap();
                    url.set_path(&path);
                    let sent = http()
                        .post(url)
                        .header("content-type", kind)
                        .header("authorization", format!("Bearer {CLINIC_TOKEN}"));
                    sent.body(body.clone()).send().await.unwrap();
                }
            }
        }
        // What is answered here goes to whoever said it; what is logged is searched.
        for path in
            ["/api/ingestors/syncs/", "/api/base/provider-links/", "/api/transformers/mappings/preview/"]
        {
            let url = format!("{}{path}", self.deployment.api());
            for key in [API_KEY, QUOTES, CLINIC_TOKEN] {
                let asked = http()
                    .post(&url)
                    .bearer_auth(key)
                    .header("content-type", "application/json")
                    .body(body.clone());
                asked.send().await.unwrap();
            }
        }
        for process in &self.deployment.processes {
            let event = [
                ("ce-specversion", "1.0"),
                ("ce-id", "1"),
                ("ce-source", "/test"),
                ("ce-type", "org.openhealthexchange.records.fetched.v1"),
                ("content-type", "application/json"),
            ];
            for (quoted, instead) in [
                ("", ""),
                ("ce-subject", QUOTES),
                ("ce-id", QUOTES),
                ("ce-type", QUOTES),
                ("ce-source", QUOTES),
                ("ce-specversion", QUOTES),
                ("ce-time", QUOTES),
                ("content-type", QUOTES),
            ] {
                let mut request = http().post(process.url()).body(body.clone());
                for (name, value) in event.into_iter().chain([("ce-subject", links[0].1.as_str())]) {
                    request = request.header(name, if name == quoted { instead } else { value });
                }
                if quoted == "ce-time" {
                    request = request.header(quoted, instead);
                }
                request.send().await.unwrap();
            }
        }
        assert!(!self.deployment.logs().contains("panicked"), "{}", tail(&self.deployment.logs()));
    }
}
