//! `ohx doctor`: is everything reachable and configured?

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ohx_bus::SharedBus;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_link::{EhrReport, Links};
use ohx_runtime::parts::{self, Parts};
use ohx_runtime::settings::Settings;

/// Says whether the database, the broker, the provider apps and the EHR endpoints are reachable and configured, what an
/// EHR server does not do and what is done instead. Nothing is written anywhere. Exit code 1 where something is wrong.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Only this EHR endpoint
    #[arg(long, value_name = "NAME")]
    ehr: Option<ohx_domain::EhrName>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One line of the report.
#[derive(serde::Serialize)]
struct Finding {
    what: String,
    good: bool,
    detail: String,
}

impl Doctor {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<ExitCode> {
        let mut findings = Vec::new();
        let mut add = |what: &str, result: Result<String, String>| {
            let good = result.is_ok();
            let detail = result.unwrap_or_else(|problem| problem);
            findings.push(Finding { what: what.to_owned(), good, detail });
        };
        // In one process the bus is in memory: there is nothing to reach.
        let in_process = settings.text("OHX_BUS") == Some("memory")
            || (settings.text("OHX_BUS").is_none() && settings.text("REDIS_URL").is_none());
        let bus: SharedBus = match in_process {
            true => Arc::new(MemoryBus::new(MemoryConfig::default())),
            false => parts::bus(&settings)?,
        };
        let links = Links::new(Parts::on(&settings, crate::store::open(&settings).await?, bus)?);
        let store = &links.parts().store;
        add("database", store.ping().await.map(|()| "answers".to_owned()).map_err(|e| e.to_string()));
        if !in_process {
            let answer = links.parts().bus.ping().await;
            add("broker", answer.map(|()| "answers".to_owned()).map_err(|e| e.to_string()));
        }
        if settings.text("OHX_BUS") == Some("sqs") {
            let missing = parts::sqs(&settings)?.missing().await;
            let told =
                if missing.is_empty() { Ok("are all there".to_owned()) } else { Err(missing.join("; ")) };
            add("queues", told);
        }
        let apps = store.providers().await?;
        if apps.is_empty() {
            add("provider apps", Err("none is configured: add one with ohx apply".to_owned()));
        }
        for app in &apps {
            let opened = links.app(&app.name).await.map(|_| format!("type {}, secrets open", app.kind));
            add(&format!("provider app {}", app.name), opened.map_err(|e| e.to_string()));
        }
        let ehrs = store.ehrs().await?;
        let chosen: Vec<_> =
            ehrs.iter().filter(|ehr| self.ehr.as_ref().is_none_or(|wanted| *wanted == ehr.name)).collect();
        if chosen.is_empty() {
            add("EHR endpoints", Err("none is configured: add one with ohx apply".to_owned()));
        }
        let mut reports = Vec::new();
        for ehr in chosen {
            reports.push(links.examine_ehr(&ehr.name).await?);
        }
        let good = findings.iter().all(|finding| finding.good) && reports.iter().all(|report| report.usable);
        let text = if self.json {
            let all = serde_json::json!({ "good": good, "findings": findings, "ehr_endpoints": reports });
            serde_json::to_string_pretty(&all)? + "\n"
        } else {
            let told = findings.iter().map(|f| format!("{} {}: {}\n", mark(f.good), f.what, f.detail));
            told.chain(reports.iter().map(shown)).collect()
        };
        crate::put(&text)?;
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

const fn mark(good: bool) -> &'static str {
    if good { "ok     " } else { "PROBLEM" }
}

fn shown(report: &EhrReport) -> String {
    let software = report.software.as_deref().unwrap_or("a server that does not name itself");
    let what = match (&report.problem, &report.fhir_version) {
        (Some(problem), _) => problem.clone(),
        (None, version) => format!(
            "{software}, FHIR {}; readings are written by {} in {}",
            version.as_deref().unwrap_or("of an unknown version"),
            report.strategy.unwrap_or("?"),
            match report.sent_as {
                Some("single") => "single requests".to_owned(),
                Some(kind) => format!("{kind} Bundles"),
                None => "?".to_owned(),
            }
        ),
    };
    let mut text = format!("{} EHR endpoint {}: {what}\n", mark(report.usable), report.name);
    for note in &report.notes {
        text.push_str(&format!("        - {note}\n"));
    }
    text
}
