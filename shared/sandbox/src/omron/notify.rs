//! Notifications: unsigned, to the one address that was registered, and once more where it does not answer with 200.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Simulator, Type};
use crate::faults::take;

impl Simulator {
    /// Tells that a person has uploaded rows of these types. Outside of an asynchronous runtime nobody can send: it is
    /// lost.
    pub(super) fn notify(&self, person: &str, types: &[Type]) {
        let now = self.now();
        let mut state = self.state();
        let Some(address) = state.address.clone() else { return };
        let bodies: Vec<Value> = if state.manner.newer_notifications {
            let newer =
                |of: &Type| json!({ "id": person, "timestamp": now.as_millisecond(), "type": of.name() });
            types.iter().map(newer).collect()
        } else {
            vec![json!({ "id": person, "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() })]
        };
        for body in bodies {
            let times = match () {
                () if take(&mut state.faults.lose) => 0,
                () if take(&mut state.faults.double) => 2,
                () => 1,
            };
            let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| times > 0) else {
                state.stats.notify_lost += 1;
                continue;
            };
            for _ in 0..times {
                self.0.in_flight.send_modify(|count| *count += 1);
                let (sim, address, body) = (self.clone(), address.clone(), body.clone());
                runtime.spawn(async move {
                    let delivered = sim.attempt(&address, &body).await || {
                        tokio::time::sleep(sim.0.config.notify_retry).await;
                        sim.attempt(&address, &body).await
                    };
                    let mut state = sim.state();
                    let count = if delivered {
                        &mut state.stats.notify_delivered
                    } else {
                        &mut state.stats.notify_failed
                    };
                    *count += 1;
                    drop(state);
                    sim.0.in_flight.send_modify(|count| *count -= 1);
                });
            }
        }
    }

    async fn attempt(&self, address: &str, body: &Value) -> bool {
        self.state().stats.notify_attempts += 1;
        let request = self.0.http.post(address).timeout(self.0.config.notify_timeout).json(body);
        request.send().await.is_ok_and(|reply| reply.status() == StatusCode::OK)
    }
}
