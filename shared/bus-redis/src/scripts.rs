//! What Redis does in one step.
//!
//! A script that moves an event writes it to the new place before it takes it from the old one: should Redis run out of memory in
//! between, the write is what fails, and the event stays where it was.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($(#[$doc:meta])* $name:ident = $code:literal) => {
        $(#[$doc])*
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new($code));
    };
}

script!(
    /// Hands out events of one function. KEYS: its streams by urgency. ARGV: group, consumer, then the order of
    /// streams for each pick (`123`). Returns `{stream, id, fields}` each. A missing group is made, from the beginning
    /// of its stream: what was published before the first relay started is delivered, too.
    TAKE = r"
        local taken, empty = {}, {}
        for pick = 3, #ARGV do
            local found = false
            for place = 1, 3 do
                local s = tonumber(string.sub(ARGV[pick], place, place))
                if not empty[s] then
                    local read = {'XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', 1, 'STREAMS', KEYS[s], '>'}
                    local reply = redis.pcall(unpack(read))
                    if type(reply) == 'table' and reply.err and string.find(reply.err, 'NOGROUP', 1, true) then
                        redis.pcall('XGROUP', 'CREATE', KEYS[s], ARGV[1], '0', 'MKSTREAM')
                        reply = redis.pcall(unpack(read))
                    end
                    if type(reply) == 'table' and reply.err then
                        -- What was handed out before must not be lost with the error.
                        if #taken > 0 then return taken end
                        return reply
                    end
                    local entry = reply and reply[1] and reply[1][2][1]
                    if entry then
                        taken[#taken + 1] = {s, entry[1], entry[2]}
                        found = true
                        break
                    end
                    empty[s] = true
                end
            end
            if not found then break end
        end
        return taken
    "
);

script!(
    /// Hands out again what has been pending for too long. KEYS: the streams of a function. ARGV: group, consumer,
    /// how long is too long in milliseconds, how many at most. Returns `{stream, id, fields, times handed out}` each.
    RECLAIM = r"
        local claimed, left = {}, tonumber(ARGV[4])
        for s = 1, #KEYS do
            local cursor = '0-0'
            repeat
                if left <= 0 then return claimed end
                local reply = redis.pcall('XAUTOCLAIM', KEYS[s], ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', left)
                -- No group yet, so nothing is pending.
                if reply.err then break end
                cursor = reply[1]
                for _, entry in ipairs(reply[2]) do
                    local pending = redis.call('XPENDING', KEYS[s], ARGV[1], entry[1], entry[1], 1)
                    claimed[#claimed + 1] = {s, entry[1], entry[2], pending[1][4]}
                    left = left - 1
                end
            until cursor == '0-0'
        end
        return claimed
    "
);

script!(
    /// Puts a pending event off. KEYS: stream, delayed set. ARGV: group, entry id, milliseconds to wait, lane,
    /// attempts made. Returns 1, or 0 where somebody else has settled the entry already: it is then not doubled.
    PUT_OFF = r"
        local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
        if pending.err or #pending == 0 then return 0 end
        local entry = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
        if entry then
            local event = ''
            for f = 1, #entry[2], 2 do
                if entry[2][f] == 'event' then event = entry[2][f + 1] end
            end
            local now = redis.call('TIME')
            local due = now[1] * 1000 + math.ceil(now[2] / 1000) + ARGV[3]
            local head = ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5]
            redis.call('ZADD', KEYS[2], due, head .. '\n' .. event)
        end
        redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
        redis.call('XDEL', KEYS[1], ARGV[2])
        return 1
    "
);

script!(
    /// Keeps events for later. KEYS: delayed set. ARGV: milliseconds to wait, then the members.
    DELAY = r"
        local now = redis.call('TIME')
        local due = now[1] * 1000 + math.ceil(now[2] / 1000) + ARGV[1]
        for m = 2, #ARGV do redis.call('ZADD', KEYS[1], due, ARGV[m]) end
        return #ARGV - 1
    "
);

script!(
    /// Moves what is due into its stream. KEYS: delayed set, since when nothing was lost. ARGV: prefix, how many at most.
    /// Returns how many were moved, milliseconds until the next is due (-1: none), how many were unreadable and thrown
    /// away. Every relay comes by here each moment: it is also where a Redis that has lost everything is noticed.
    RIPEN = r"
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.pcall('SET', KEYS[2], now, 'NX')
        local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
        local unreadable = 0
        for _, member in ipairs(due) do
            local feed = string.find(member, '\n', 1, true)
            local lane, attempts
            if feed then
                lane, attempts = string.match(string.sub(member, 1, feed - 1), '^%S+ (%S+) (%d+)$')
            end
            if lane then
                local event = string.sub(member, feed + 1)
                redis.call('XADD', ARGV[1] .. ':' .. lane, '*', 'event', event, 'attempts', attempts)
            else
                unreadable = unreadable + 1
            end
            redis.call('ZREM', KEYS[1], member)
        end
        local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
        return {#due, next[2] and math.max(0, next[2] - now) or -1, unreadable}
    "
);

script!(
    /// Removes consumers that hold nothing. KEYS: streams. ARGV: group, a consumer that goes in any case, the
    /// milliseconds without a sign of life after which any other goes.
    FORGET = r"
        for _, key in ipairs(KEYS) do
            local consumers = redis.pcall('XINFO', 'CONSUMERS', key, ARGV[1])
            if not consumers.err then
                for _, flat in ipairs(consumers) do
                    local c = {}
                    for i = 1, #flat, 2 do c[flat[i]] = flat[i + 1] end
                    if c.pending == 0 and (c.name == ARGV[2] or c.idle > tonumber(ARGV[3])) then
                        redis.call('XGROUP', 'DELCONSUMER', key, ARGV[1], c.name)
                    end
                end
            end
        end
        return 0
    "
);

script!(
    /// How much waits. KEYS: delayed set, then streams. ARGV: group. Returns the number delayed, then for each stream
    /// its length, how many are pending, and the age of the first in milliseconds (-1: none).
    DEPTH = r"
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local depth = {redis.call('ZCARD', KEYS[1])}
        for k = 2, #KEYS do
            local pending = redis.pcall('XPENDING', KEYS[k], ARGV[1])
            local first = redis.call('XRANGE', KEYS[k], '-', '+', 'COUNT', 1)[1]
            depth[#depth + 1] = redis.call('XLEN', KEYS[k])
            depth[#depth + 1] = pending.err and 0 or pending[1]
            depth[#depth + 1] = first and math.max(0, now - string.match(first[1], '^%d+')) or -1
        end
        return depth
    "
);
