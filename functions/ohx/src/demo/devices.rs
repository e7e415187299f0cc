//! What the EHR has of the people's devices.

use anyhow::Context as _;
use serde_json::Value;

use super::Show;
use super::people::PEOPLE;

impl Show {
    /// Prints whose device is what.
    pub(super) async fn devices(&self) -> anyhow::Result<()> {
        println!(
            "\nDevices at the EHR, each with its model (DeviceDefinition) and whose it is (DeviceAssociation):"
        );
        for person in &PEOPLE {
            let found = self.fhir(&format!("DeviceAssociation?subject={}", person.patient)).await?;
            let mut names = Vec::new();
            for entry in found["entry"].as_array().into_iter().flatten() {
                let reference = entry["resource"]["device"]["reference"].as_str().unwrap_or_default();
                let device = self.fhir(reference).await?;
                names.push(device["displayName"].as_str().unwrap_or("a device").to_owned());
            }
            names.sort();
            println!(
                "  {}: {}",
                person.name,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            );
        }
        Ok(())
    }

    async fn fhir(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/{path}", self.world.fhir_url);
        self.http.get(url).send().await?.error_for_status()?.json().await.context("the EHR")
    }
}
