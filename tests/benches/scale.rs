//! How the work of a night grows with the number of processes, and what KEDA's numbers do: the history of a number of
//! patients waits in the queues when the relays start. Provider and EHR are as slow as real ones, so that waiting, not
//! this machine's processors, is what copies share.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::time::{Duration, Instant as Stopwatch};

use ohx_bus::Depth;
use ohx_bus_redis::RedisBus;
use ohx_sandbox::fhir;
use ohx_sandbox::withings::{Fault, USUAL};
use ohx_tests::copies::Copies;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;

/// What the provider and the EHR take over a call.
const PROVIDER: Duration = Duration::from_millis(700);
const EHR: Duration = Duration::from_millis(20);

/// KEDA's `pollingInterval`; five seconds in the manifests.
const POLL: Duration = Duration::from_secs(1);
const MOST: usize = 4;

#[tokio::main]
async fn main() {
    println!(
        "patients' histories wait when as many relays and copies of each function start; provider {PROVIDER:?}, EHR {EHR:?} a call"
    );
    println!(
        "{:<7} {:>7} {:>9} {:>9} {:>11} {:>7}",
        "broker", "copies", "patients", "seconds", "readings/s", "of one"
    );
    for (broker, shape, patients) in [("Redis", Shape::ManyProcesses, 48), ("SQS", Shape::Sqs, 12)] {
        let mut one = 0.0;
        for copies in [1, 2, 4] {
            let (_deployment, mut scaled, outside) = waiting(shape, patients, copies).await;
            let began = Stopwatch::now();
            scaled.relays(copies).await;
            let readings = drained(&outside, patients).await;
            let took = began.elapsed().as_secs_f64();
            let rate = readings as f64 / took;
            one = if copies == 1 { rate } else { one };
            println!("{broker:<7} {copies:>7} {patients:>9} {took:>9.1} {rate:>11.0} {:>7.2}", rate / one);
        }
    }
    println!(
        "\nrelays over Redis, from none to {MOST}, as KEDA has them: the longest stream / streamLength, asked every {POLL:?}"
    );
    println!("{:>12} {:>9} {:>6} {:>14}", "streamLength", "seconds", "most", "relay-seconds");
    for length in [1000, 200, 100] {
        keda(length).await;
    }
}

/// A deployment that has been asked for the histories of all patients, without a relay to bring them.
async fn waiting(shape: Shape, patients: u64, copies: usize) -> (Deployment, Copies, Outside) {
    let outside = Outside::start().await;
    let mut deployment = Deployment::start_with(shape, &outside, async |environment| {
        // As it is unless told otherwise: the tests' own is short. With Redis the other has to be longer.
        environment.remove("OHX_RELAY_TIMEOUT_SECONDS");
        if shape == Shape::ManyProcesses {
            environment.remove("OHX_RELAY_RECLAIM_SECONDS");
        }
    })
    .await;
    let scaled = Copies::of(&mut deployment, copies).await;
    for id in 1..=patients {
        let person = outside.person(id, &format!("Patient {id}"));
        outside.withings.seed_history(person, 10, 2).unwrap();
        connect(&deployment, &outside, &format!("Patient/p{id}"), &id.to_string(), 11).await;
    }
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    outside.withings.inject(Fault::Latency { millis: millis(PROVIDER) });
    outside.ehr.inject(fhir::Fault::Latency { millis: millis(EHR) });
    (deployment, scaled, outside)
}

/// Waits until every reading is at the EHR, once; gives how many there are.
async fn drained(outside: &Outside, patients: u64) -> usize {
    let wanted: usize = (1..=patients).map(|id| outside.withings.readings(id, &USUAL).unwrap().len()).sum();
    let end = Stopwatch::now() + Duration::from_secs(300);
    loop {
        let have = outside.ehr.resources("Observation").len();
        if have == wanted {
            assert_eq!(outside.ehr.snapshot().doubles, 0);
            return have;
        }
        assert!(Stopwatch::now() < end && have < wanted, "{have} of {wanted} readings");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn keda(stream_length: u64) {
    let patients = 48;
    let (deployment, mut scaled, outside) = waiting(Shape::ManyProcesses, patients, MOST).await;
    let setting = |name| deployment.setting(name).unwrap();
    let bus = RedisBus::connect(setting("REDIS_URL"), setting("OHX_REDIS_PREFIX")).unwrap();
    let began = Stopwatch::now();
    let (mut most, mut spent) = (0, 0.0);
    let all_there = drained(&outside, patients);
    tokio::pin!(all_there);
    loop {
        let waiting = longest(&bus.depth().await.unwrap());
        let wanted = usize::try_from(waiting.div_ceil(stream_length)).unwrap_or(MOST).min(MOST);
        // KEDA lets them go only after its cooldown, which is longer than this.
        most = most.max(wanted);
        scaled.relays(most).await;
        let polled = Stopwatch::now();
        let ended = tokio::time::timeout(POLL, &mut all_there).await;
        spent += most as f64 * polled.elapsed().as_secs_f64();
        if ended.is_ok() {
            break;
        }
    }
    println!("{stream_length:>12} {:>9.1} {most:>6} {spent:>14.1}", began.elapsed().as_secs_f64());
}

/// How many events the longest stream has, those in hand among them.
fn longest(depth: &Depth) -> u64 {
    depth.queues.values().map(|queue| queue.queued + queue.in_hand).max().unwrap_or(0)
}
