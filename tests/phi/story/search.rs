//! What is searched for, and where.

use super::*;
use crate::canary::Hit;

impl World {
    /// Every canary there was: those that were set, those that passed, and those that are sealed in the database.
    async fn canaries(&self) -> Vec<Canary> {
        let secret = |name: &str, text: &str| Canary::text(name, Kind::Secret, text);
        let person = |name: &str, text: &str| Canary::text(name, Kind::Person, text);
        let mut all = values();
        all.extend([
            person("user id at Withings", &WITHINGS.to_string()),
            person("user id at Google", &GOOGLE.to_string()),
            person("user id at Omron", OMRON),
            person("user id at Fitbit", FITBIT),
            person("name", NAME),
            secret("client secret", CLIENT_SECRET),
            secret("API key", API_KEY),
            Canary::key("keyring", KEYRING.split_once(':').unwrap().1),
            secret("EHR token", CLINIC_TOKEN),
            secret("EHR client secret", LAB_SECRET),
            secret("Google's header", GOOGLE_WEBHOOK),
            secret("Omron's address", OMRON_WEBHOOK),
            secret("Fitbit's code", FITBIT_VERIFY),
        ]);
        let account = self.outside.others().google.service_account("http://none").unwrap();
        let account: Value = serde_json::from_str(&account).unwrap();
        let pem =
            account["private_key"].as_str().unwrap().lines().filter(|line| !line.starts_with('-')).skip(1);
        all.extend(
            pem.enumerate()
                .filter(|(_, line)| line.len() >= 20)
                .map(|(n, line)| secret(&format!("Google's key {n}"), line)),
        );
        for (from, gossip) in
            self.liars.iter().map(|(n, g)| (*n, g)).chain([("clinic", &self.ehr), ("lab", &self.issuer)])
        {
            for (name, text) in gossip.learnt() {
                if all.iter().all(|known| !known.is(&text)) {
                    all.push(secret(&format!("{name} of {from}"), &text));
                }
            }
        }
        all.extend(sealed(&self.deployment).await);
        all
    }

    pub(super) async fn search(&self, shape: Shape) {
        let canaries = self.canaries().await;
        let learnt = |what: &str| canaries.iter().filter(|canary| canary.name.starts_with(what)).count();
        for what in ["access_token", "refresh_token", "code", "client_assertion", "data key", "signing key"] {
            assert!(learnt(what) > 0, "no {what} was learnt");
        }
        let search = Search::of(&canaries);
        let mut places = places::all(shape, &self.deployment, &self.taps).await;
        let answers = self.answers.iter().enumerate();
        places.extend(answers.map(|(n, answer)| Place::answer(format!("answer {n}"), answer)));
        let hits: Vec<Hit> = places.iter().flat_map(|place| search.hits(&place.name, &place.bytes)).collect();
        let lies = self.liars.iter().map(|(_, liar)| liar.lied()).sum::<u32>()
            + self.ehr.lied()
            + self.issuer.lied();
        report::tell(shape, &search, &places, &hits, lies);
        let first: Vec<_> = hits.iter().take(40).collect();
        assert!(hits.is_empty(), "{} canaries are readable: {first:#?}", hits.len());
        plant::found(&self.deployment, &self.taps, shape, &search).await;
    }
}

/// The plain text of what is sealed in the database: the keys of links, and those that OHX signs with.
async fn sealed(deployment: &Deployment) -> Vec<Canary> {
    let store = plant::store(deployment).await;
    let keyring = ohx_seal::Keyring::parse(&KEYRING.to_owned().into()).unwrap();
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let mut all = Vec::new();
    let filter = ohx_store::LinkFilter { limit: 1000, ..Default::default() };
    for link in store.links(&filter).await.unwrap() {
        let id = link.id.to_string();
        if let Some(wrapped) = &link.data_key {
            let key = keyring.open(&["links", &id, "data_key"], wrapped).unwrap();
            all.push(Canary::key(&format!("data key of {}", link.provider), &base64(&key)));
        }
    }
    for key in store.signing_keys().await.unwrap() {
        if let Some(sealed) = &key.sealed {
            let pkcs8 = keyring.open(&["signing_keys", &key.kid, "sealed_key"], sealed).unwrap();
            // The private number, behind a header that all have and before the public half.
            let private = base64(&pkcs8[36..80]);
            all.push(Canary::key(&format!("signing key {}", key.algorithm.as_str()), &private));
        }
    }
    all
}
