//! Who comes first where there is too much to do, and that nobody is left out.

use std::sync::Arc;
use std::time::Duration;

use ohx_link::{Class, LinkError, OpenLink, Turn};
use ohx_store_sqlite::SqliteStore;

use crate::world::{World, clock};

const PER_MINUTE: u32 = 120;

struct Crowd {
    world: World,
    open: OpenLink,
}

impl Crowd {
    async fn new() -> Self {
        let store = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        let world = World::new(store, clock(), "http://127.0.0.1:1", PER_MINUTE).await;
        let id = world.link(1).await;
        let open = world.links.open(id).await.unwrap();
        Self { world, open }
    }

    async fn granted(&self, class: Class) -> bool {
        let links = &self.world.links;
        let (app, provider) = links.app(&self.open.link.provider).await.unwrap();
        match links.admit(&self.open, &app, provider.as_ref(), &Turn::new(class)).await {
            Ok(()) => true,
            Err(LinkError::Quota { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// How many calls each of these classes is granted in so many minutes, where all always want more, and the least urgent
    /// ask first.
    async fn compete(&self, classes: &[Class], minutes: u32) -> Vec<u32> {
        let mut granted = vec![0; classes.len()];
        for _ in 0..minutes * 60 * 4 {
            for (n, class) in classes.iter().enumerate().rev() {
                granted[n] += u32::from(self.granted(*class).await);
            }
            self.world.clock.advance(Duration::from_millis(250));
        }
        granted
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_work_comes_first_and_no_class_starves() {
    let crowd = Crowd::new().await;
    let granted = crowd.compete(&Class::ALL, 4).await;
    let all: u32 = granted.iter().sum();
    assert!((4 * 95..=4 * PER_MINUTE).contains(&all), "{granted:?}");
    assert!(granted[0] * 2 >= all, "half is for those who wait: {granted:?}");
    assert!(granted.iter().all(|one| one * 12 >= all), "each has its share: {granted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_alone_has_all_of_the_pace() {
    for class in Class::ALL {
        let crowd = Crowd::new().await;
        let granted = crowd.compete(&[class], 2).await[0];
        assert!((190..=2 * PER_MINUTE).contains(&granted), "{class:?}: {granted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_class_always_finds_room() {
    for class in [Class::Push, Class::Reconnect, Class::Nightly] {
        let crowd = Crowd::new().await;
        let below: Vec<_> = Class::ALL.into_iter().filter(|other| *other > class).collect();
        for minute in 0..2 {
            crowd.compete(&below, 1).await;
            let mut room = 0;
            while crowd.granted(class).await {
                room += 1;
            }
            // A quarter of the burst, less what each of the others has for itself at any time.
            assert!(room >= 2, "{class:?} in minute {minute}: {room}");
        }
    }
}
