//! Connections that come back by themselves.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, IntoConnectionInfo as _, RedisError};

use crate::SetupError;

/// How long a command may take. Far above what any of ours takes, so that a timeout means a dead connection.
const RESPONSE: Duration = Duration::from_secs(10);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// A client for `url`, which connects when it is first used. `TCP_NODELAY` is set: the driver leaves it off.
pub(crate) fn client(url: &str) -> Result<Client, SetupError> {
    let malformed = |error: RedisError| SetupError::Url(format!("{:?}", error.kind()));
    let info = url.into_connection_info().map_err(malformed)?;
    Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true))).map_err(malformed)
}

/// A connection for commands that answer at once.
pub(crate) fn commands(client: &Client) -> Result<ConnectionManager, SetupError> {
    manager(client, RESPONSE)
}

/// A connection for one reader that blocks for `block`. It is never shared: while it blocks, so would every other
/// command on it. The driver's response timeout has to be longer than the block, and not endless, or a connection
/// that died silently would never be noticed.
pub(crate) fn blocking(client: &Client, block: Duration) -> Result<ConnectionManager, SetupError> {
    manager(client, block + RESPONSE)
}

fn manager(client: &Client, response: Duration) -> Result<ConnectionManager, SetupError> {
    // One quick reconnection attempt bridges a restart; beyond that the caller should know.
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(response))
        .set_connection_timeout(Some(CONNECT))
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(200));
    let failed = |error: RedisError| SetupError::Config(format!("the Redis connection: {:?}", error.kind()));
    ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(failed)
}
