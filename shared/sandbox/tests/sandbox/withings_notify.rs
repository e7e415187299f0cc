use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::any;
use ohx_sandbox::withings::{Fault, Measure, NewGroup};
use serde_json::Value;

use super::{ANNA, BEN, World, serve};

/// A callback that answers as it is told and remembers what came.
#[derive(Clone, Default)]
struct Callback {
    came: Arc<Mutex<Vec<String>>>,
    head: Arc<Mutex<StatusCode>>,
    post: Arc<Mutex<Vec<StatusCode>>>,
    delay: Arc<Mutex<Duration>>,
}

impl Callback {
    async fn serve(&self) -> String {
        let own = self.clone();
        let answer = async move |method: Method, uri: Uri, body: String| {
            let delay = *own.delay.lock().unwrap();
            tokio::time::sleep(delay).await;
            if method == Method::HEAD {
                return *own.head.lock().unwrap();
            }
            own.came.lock().unwrap().push(format!("{uri} {body}"));
            own.post.lock().unwrap().pop().unwrap_or(StatusCode::OK)
        };
        let base = serve(Router::new().route("/hook", any(answer))).await;
        format!("{base}/hook?secret=abc%20d")
    }

    fn taken(&self) -> Vec<String> {
        let mut came = std::mem::take(&mut *self.came.lock().unwrap());
        came.sort();
        came
    }
}

async fn notify(world: &World, token: &str, form: &[(&str, &str)]) -> Value {
    world.call("/notify", Some(token), form).await
}

async fn subscribe(world: &World, token: &str, url: &str, appli: &str) -> Value {
    notify(world, token, &[("action", "subscribe"), ("callbackurl", url), ("appli", appli)]).await["status"]
        .clone()
}

#[tokio::test]
async fn subscribing_needs_a_callback_that_answers_head_with_exactly_200() {
    let world = World::with(|config| config.notify_timeout = Duration::from_millis(300)).await;
    let callback = Callback::default();
    let url = callback.serve().await;
    let (token, _) = world.grant(ANNA).await;
    for refusing in [StatusCode::NO_CONTENT, StatusCode::FOUND, StatusCode::NOT_FOUND] {
        *callback.head.lock().unwrap() = refusing;
        assert_eq!(subscribe(&world, &token, &url, "1").await, 293, "{refusing}");
    }
    *callback.head.lock().unwrap() = StatusCode::OK;
    let long = format!("{url}{}", "x".repeat(256));
    for bad in ["", "not a url", "ftp://127.0.0.1/hook", "http://127.0.0.1:1/hook", &long] {
        assert_eq!(subscribe(&world, &token, bad, "1").await, 293, "{bad}");
    }
    for bad in ["", "3", "53", "99"] {
        assert_eq!(subscribe(&world, &token, &url, bad).await, 283, "{bad}");
    }
    assert_eq!(subscribe(&world, &token, &url, "44").await, 277, "user.activity was not granted");
    assert_eq!(subscribe(&world, "guess", &url, "1").await, 401);
    assert_eq!(subscribe(&world, &token, &url, "1").await, 0);
    assert_eq!(subscribe(&world, &token, &url, "1").await, 0, "again is no error");
    assert_eq!(world.sim.subscriptions(ANNA), 1);
    *callback.delay.lock().unwrap() = Duration::from_secs(30);
    assert_eq!(subscribe(&world, &token, &url, "4").await, 293, "too slow");
}

#[tokio::test]
async fn subscriptions_are_listed_changed_and_revoked() {
    let world = World::new().await;
    let (one, two) = (Callback::default().serve().await, Callback::default().serve().await);
    let (token, _) = world.grant(ANNA).await;
    for appli in ["1", "4"] {
        assert_eq!(subscribe(&world, &token, &one, appli).await, 0);
    }
    let list = notify(&world, &token, &[("action", "list")]).await;
    let profiles = list["body"]["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 2);
    assert_eq!(profiles[0]["callbackurl"], one.as_str());
    assert_eq!(profiles[0]["expires"], 2_147_483_647);
    assert_eq!(
        notify(&world, &token, &[("action", "list"), ("appli", "2")]).await["body"]["profiles"],
        Value::Array(vec![])
    );

    let update = async |extra: &[(&str, &str)]| {
        let form = [&[("action", "update"), ("callbackurl", one.as_str()), ("appli", "4")], extra].concat();
        notify(&world, &token, &form).await["status"].clone()
    };
    assert_eq!(update(&[]).await, 503);
    assert_eq!(update(&[("new_callbackurl", &two), ("comment", "c")]).await, 503, "exactly one");
    assert_eq!(update(&[("new_callbackurl", &two)]).await, 0);
    assert_eq!(update(&[("comment", "c")]).await, 286, "it is elsewhere now");
    let get = async |url: &str, appli: &str| {
        let form = [("action", "get"), ("callbackurl", url), ("appli", appli)];
        notify(&world, &token, &form).await["status"].clone()
    };
    assert_eq!(
        (get(&two, "4").await, get(&one, "4").await, get(&one, "").await),
        (0.into(), 286.into(), 0.into())
    );
    let revoke = [("action", "revoke"), ("callbackurl", two.as_str())];
    assert_eq!(notify(&world, &token, &revoke).await["status"], 0);
    assert_eq!(notify(&world, &token, &revoke).await["status"], 286);
    assert_eq!(world.sim.subscriptions(ANNA), 1);
    let (other, _) = world.grant(BEN).await;
    assert_eq!(notify(&world, &other, &[("action", "list")]).await["body"]["profiles"], Value::Array(vec![]));
}

#[tokio::test]
async fn a_reading_notifies_its_topics_and_only_its_owner() {
    let world = World::new().await;
    let callback = Callback::default();
    let url = callback.serve().await;
    let (token, _) = world.grant(ANNA).await;
    for appli in ["1", "2", "4", "46"] {
        assert_eq!(subscribe(&world, &token, &url, appli).await, 0);
    }
    let date = world.now();
    let weight = world.sim.weigh_now(ANNA, "72.10").unwrap();
    world.sim.weigh_now(BEN, "82.10").unwrap();
    world.sim.idle().await;
    let end = date + 1;
    let weighed = format!("/hook?secret=abc%20d userid=1000&appli=1&startdate={date}&enddate={end}");
    assert_eq!(callback.taken(), std::slice::from_ref(&weighed));

    let rows = vec![Measure::new(10, 118, 0), Measure::new(9, 79, 0), Measure::new(71, 366, -1)];
    let group = |date| NewGroup { date, attrib: 0, category: 1, modelid: Some(45), measures: rows.clone() };
    world.sim.add_groups(ANNA, vec![group(date), group(date - 500)]).unwrap();
    world.sim.idle().await;
    let start = date - 500;
    let of =
        |appli| format!("/hook?secret=abc%20d userid=1000&appli={appli}&startdate={start}&enddate={end}");
    assert_eq!(callback.taken(), [of(2), of(4)], "one a topic, over all dates");

    world.advance(60);
    world.sim.correct(weight, vec![Measure::new(1, 722, -1)]).unwrap();
    world.sim.delete(weight).unwrap();
    world.sim.idle().await;
    assert_eq!(callback.taken(), [weighed.clone(), weighed], "at the date of the reading, not of the change");

    world.sim.unlink(ANNA).unwrap();
    world.sim.idle().await;
    assert_eq!(callback.taken(), ["/hook?secret=abc%20d userid=1000&appli=46&action=unlink"]);
    assert_eq!(world.getmeas(&token, &[]).await["status"], 401);
    assert_eq!(world.sim.subscriptions(ANNA), 0);
}

#[tokio::test]
async fn an_undelivered_notification_is_tried_again_and_then_given_up() {
    let world = World::with(|config| config.notify_timeout = Duration::from_millis(300)).await;
    let callback = Callback::default();
    let url = callback.serve().await;
    let (token, _) = world.grant(ANNA).await;
    assert_eq!(subscribe(&world, &token, &url, "1").await, 0);

    *callback.post.lock().unwrap() = vec![StatusCode::INTERNAL_SERVER_ERROR; 3];
    world.sim.weigh_now(ANNA, "72.1").unwrap();
    world.sim.idle().await;
    assert_eq!(callback.taken().len(), 4, "two attempts, a wait, a third, and the fourth is answered");
    let stats = world.sim.stats();
    assert_eq!((stats.notify_attempts, stats.notify_delivered, stats.notify_failed), (4, 1, 0));

    *callback.delay.lock().unwrap() = Duration::from_secs(30);
    world.sim.weigh_now(ANNA, "72.1").unwrap();
    world.sim.idle().await;
    let stats = world.sim.stats();
    assert_eq!((stats.notify_attempts, stats.notify_delivered, stats.notify_failed), (8, 1, 1));
    assert_eq!(world.sim.subscriptions(ANNA), 1);
    world.advance(20 * 86_400);
    world.sim.weigh_now(ANNA, "72.1").unwrap();
    world.sim.idle().await;
    assert_eq!(world.sim.subscriptions(ANNA), 0, "cancelled after twenty days of failure");
}

#[tokio::test]
async fn notifications_get_lost_and_doubled_on_demand() {
    let world = World::new().await;
    let callback = Callback::default();
    let url = callback.serve().await;
    let (token, _) = world.grant(ANNA).await;
    assert_eq!(subscribe(&world, &token, &url, "1").await, 0);
    world.sim.inject(Fault::LoseNotifications { count: 1 });
    world.sim.inject(Fault::DoubleNotifications { count: 1 });
    for expected in [0, 2, 1] {
        world.sim.weigh_now(ANNA, "72.1").unwrap();
        world.sim.idle().await;
        assert_eq!(callback.taken().len(), expected);
    }
    assert_eq!(world.sim.stats().notify_lost, 1);
}
