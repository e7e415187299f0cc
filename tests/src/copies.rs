//! Several copies of every function that events go to, and as many relays as one likes: a deployment that has been scaled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ohx_events::Function;

use crate::balance::Balance;
use crate::deployment::Deployment;
use crate::outside::http;
use crate::process::Process;

/// What was added to a deployment. Its own relay is gone; what was asked for waits until [`Copies::relays`] says how many run.
pub struct Copies {
    addresses: BTreeMap<Function, Vec<String>>,
    /// The processes beside the deployment's own.
    pub further: Vec<Process>,
    /// The relays, with the addresses that each calls.
    pub running: Vec<(Process, BTreeMap<Function, Balance>)>,
    environment: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Copies {
    /// Of each function of a deployment of many processes there are `copies`, and no relay.
    pub async fn of(deployment: &mut Deployment, copies: usize) -> Self {
        let relay = deployment.processes.iter().position(|process| process.name == "ohx-relay");
        deployment.processes.remove(relay.expect("many processes")).terminate().await;
        let (environment, folder) = (deployment.environment().clone(), deployment.folder().to_owned());
        let (mut addresses, mut further) = (BTreeMap::new(), Vec::new());
        for function in Function::ALL {
            let mut urls = vec![deployment.process(function.as_str()).url()];
            for _ in 1..copies {
                let copy = Process::start(&format!("ohx-{function}"), &[], &environment, &folder);
                copy.ready(&http()).await;
                urls.push(copy.url());
                further.push(copy);
            }
            addresses.insert(function, urls);
        }
        Self { addresses, further, running: Vec::new(), environment, folder }
    }

    /// From now on as many relays run. Those that go finish what they have in hand.
    pub async fn relays(&mut self, wanted: usize) {
        while self.running.len() > wanted {
            if let Some((mut relay, _)) = self.running.pop() {
                relay.terminate().await;
            }
        }
        while self.running.len() < wanted {
            let mut environment = self.environment.clone();
            let mut fronts = BTreeMap::new();
            for (function, urls) in &self.addresses {
                let front = Balance::before(urls.clone(), self.running.len()).await;
                let name = format!("OHX_{}_URL", function.as_str().to_uppercase());
                environment.insert(name, front.url.clone());
                fronts.insert(*function, front);
            }
            let relay = Process::start("ohx-relay", &[], &environment, &self.folder);
            self.running.push((relay, fronts));
        }
        for (relay, _) in &self.running {
            relay.ready(&http()).await;
        }
    }
}
