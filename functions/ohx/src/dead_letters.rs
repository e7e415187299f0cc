//! `ohx dead-letters`: what could not be done, through the API of a running exchange.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ohx_domain::{Instant, LetterId, LinkId, Record};
use ohx_runtime::Settings;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{self, Api, Exchange};
use crate::put;

const AT: &str = "api/publishers/dead-letters/";

/// What could not be done, and why. A letter holds the envelope of an event and the reason, never what was in it.
#[derive(Subcommand)]
pub(crate) enum DeadLetters {
    /// Lists them, newest first
    List(List),
    /// Shows one, with the work that it stands for, as JSON
    Show(One),
    /// Asks again for what they stood for: the readings are fetched afresh, and a letter goes when they are at the EHR
    Replay(Replay),
    /// Forgets them without doing anything; the nightly run still asks for what the ledger lacks
    Discard(Given),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    which: Which,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Args)]
pub(crate) struct One {
    /// The letter
    id: LetterId,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Args)]
pub(crate) struct Given {
    /// The letters
    #[arg(required = true)]
    ids: Vec<LetterId>,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Args)]
pub(crate) struct Replay {
    /// The letters
    ids: Vec<LetterId>,
    #[command(flatten)]
    which: Which,
    /// All of them
    #[arg(long, conflicts_with_all = ["ids", "link", "function"])]
    all: bool,
    #[command(flatten)]
    exchange: Exchange,
}

/// Which letters.
#[derive(Args)]
pub(crate) struct Which {
    /// Those of this link
    #[arg(long)]
    link: Option<LinkId>,
    /// Those of this function: nightly, fetch, transform, publish or devices
    #[arg(long)]
    function: Option<String>,
}

#[derive(Deserialize)]
struct Letter {
    id: LetterId,
    key: String,
    function: String,
    link: Option<LinkId>,
    reason: String,
    attempts: u32,
    at: Instant,
    replay: Option<Replayed>,
}

#[derive(Deserialize)]
struct Replayed {
    at: Instant,
}

#[derive(Deserialize)]
struct Outcome {
    letter: LetterId,
    says: String,
    record: Option<Record>,
}

#[derive(Deserialize)]
struct Refused {
    letter: LetterId,
    detail: String,
}

#[derive(Deserialize)]
struct Page {
    replayed: Vec<Outcome>,
    refused: Vec<Refused>,
    next: Option<String>,
}

impl DeadLetters {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(&list.exchange.api(settings)?).await,
            Self::Show(one) => {
                let api = one.exchange.api(settings)?;
                match api.send(api.call(Method::GET, api.at(&format!("{AT}{}/", one.id))?)).await? {
                    Ok(answer) => {
                        put(&format!("{:#}\n", client::read::<Value>(answer).await?))?;
                        Ok(ExitCode::SUCCESS)
                    }
                    Err(problem) => Ok(refuse(one.id, &problem)),
                }
            }
            Self::Replay(replay) => replay.run(&replay.exchange.api(settings)?).await,
            Self::Discard(some) => {
                let api = some.exchange.api(settings)?;
                let mut code = ExitCode::SUCCESS;
                for id in &some.ids {
                    match api.send(api.call(Method::DELETE, api.at(&format!("{AT}{id}/"))?)).await? {
                        Ok(_) => println!("{id}: discarded"),
                        Err(problem) => code = refuse(*id, &problem),
                    }
                }
                Ok(code)
            }
        }
    }
}

fn refuse(id: LetterId, problem: &str) -> ExitCode {
    eprintln!("{id}: {problem}");
    ExitCode::FAILURE
}

impl List {
    async fn run(&self, api: &Api) -> anyhow::Result<ExitCode> {
        let mut first = api.at(AT)?;
        {
            let mut query = first.query_pairs_mut();
            query.append_pair("limit", &self.limit.clamp(1, 1000).to_string());
            if let Some(link) = self.which.link {
                query.append_pair("link", &link.to_string());
            }
            if let Some(function) = &self.which.function {
                query.append_pair("function", function);
            }
        }
        let mut url = first.clone();
        let mut letters: Vec<Value> = Vec::new();
        let more = loop {
            let answer = match api.send(api.call(Method::GET, url)).await? {
                Ok(answer) => answer,
                Err(problem) => {
                    eprintln!("{problem}");
                    return Ok(ExitCode::FAILURE);
                }
            };
            let page: client::Page<Value> = client::read(answer).await?;
            letters.extend(page.items);
            match page.next {
                Some(next) if letters.len() < self.limit => {
                    url = first.clone();
                    url.query_pairs_mut().append_pair("cursor", &next);
                }
                next => break next.is_some() || letters.len() > self.limit,
            }
        };
        letters.truncate(self.limit);
        if self.json {
            put(&format!("{:#}\n", Value::Array(letters)))?;
            return Ok(ExitCode::SUCCESS);
        }
        if letters.is_empty() {
            println!("No dead letters.");
        }
        let mut text = String::new();
        for letter in letters {
            show(&mut text, &serde_json::from_value(letter)?)?;
        }
        if more {
            writeln!(text, "There are more: --limit.")?;
        }
        put(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(text: &mut String, letter: &Letter) -> anyhow::Result<()> {
    let link = letter.link.map(|link| format!("  link {link}")).unwrap_or_default();
    let at = letter.at.strftime("%Y-%m-%d %H:%M:%SZ");
    writeln!(text, "{}  {at}  {}{link}", letter.id, letter.function)?;
    writeln!(text, "  {}", letter.key)?;
    let replay = letter.replay.as_ref();
    let replay =
        replay.map(|r| format!("; replayed {}", r.at.strftime("%Y-%m-%d %H:%M:%SZ"))).unwrap_or_default();
    writeln!(text, "  {} ({} attempt(s){replay})", letter.reason, letter.attempts)?;
    Ok(())
}

impl Replay {
    async fn run(&self, api: &Api) -> anyhow::Result<ExitCode> {
        let filtered = self.all || self.which.link.is_some() || self.which.function.is_some();
        match (filtered, self.ids.is_empty()) {
            (true, true) => self.filtered(api).await,
            (false, false) => self.named(api).await,
            _ => anyhow::bail!("say which letters: their ids, or --link, --function or --all"),
        }
    }

    async fn named(&self, api: &Api) -> anyhow::Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        for id in &self.ids {
            match api.send(api.call(Method::POST, api.at(&format!("{AT}{id}/replay/"))?)).await? {
                Ok(answer) => tell(&client::read(answer).await?),
                Err(problem) => code = refuse(*id, &problem),
            }
        }
        Ok(code)
    }

    /// Page after page.
    async fn filtered(&self, api: &Api) -> anyhow::Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        let mut cursor: Option<String> = None;
        loop {
            let mut body = json!({"all": self.all});
            let given = [
                ("link", self.which.link.map(|link| link.to_string())),
                ("function", self.which.function.clone()),
                ("cursor", cursor.take()),
            ];
            for (name, value) in given {
                if let Some(value) = value {
                    body[name] = value.into();
                }
            }
            let call = api.call(Method::POST, api.at(&format!("{AT}replay/"))?).json(&body);
            let page: Page = match api.send(call).await? {
                Ok(answer) => client::read(answer).await?,
                Err(problem) => {
                    eprintln!("{problem}");
                    return Ok(ExitCode::FAILURE);
                }
            };
            page.replayed.iter().for_each(tell);
            for Refused { letter, detail } in &page.refused {
                code = refuse(*letter, detail);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(code);
            }
        }
    }
}

fn tell(outcome: &Outcome) {
    let record = outcome.record.as_ref().map(|record| format!("{record}: ")).unwrap_or_default();
    println!("{}: {record}{}", outcome.letter, outcome.says);
}
