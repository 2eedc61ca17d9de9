-- Stores what pings tell; `model.liveness.heard` and `model.registrations.Room` say the same in Python. Of
-- hosts that are not known, and of settings that are others, nothing is stored without a record for the audit
-- log.

local now, refused, unknown, changed = now(), {}, {}, {}
local most, rounding = tonumber(given.most), tonumber(given.rounding)

local function is_recent(at, within)
  at = tonumber(at or nil)
  return at ~= nil and now - at >= -rounding and now - at <= tonumber(within)
end

-- The sessions that were replaced, without one.
local function without(former, session)
  local others = {}
  for _, one in ipairs(former) do
    if one ~= session then
      others[#others + 1] = one
    end
  end
  return others
end

-- Changes the sessions by a ping, and returns whether it is refused.
local function is_refused(sessions, ping, is_live)
  local session = ping.session
  if session == '' then
    return false
  end
  if session == sessions.session then
    if tonumber(ping.sequence) < tonumber(sessions.sequence) then
      return true
    end
  elseif sessions.session ~= '' then
    local former = without(sessions.former, session)
    if is_live and #former < #sessions.former then
      sessions.contended_at, sessions.contended_for = time(now), ping.patience
      return true
    end
    if is_live and is_recent(sessions.replaced_at, ping.patience) then
      sessions.contended_at, sessions.contended_for = time(now), ping.patience
    end
    table.insert(former, 1, sessions.session)
    former[most + 1] = nil
    sessions.former, sessions.replaced_at = former, time(now)
  end
  sessions.session, sessions.sequence = session, ping.sequence
  return false
end

-- The ids of all hosts that were known, and how many have become known since.
local known, added = nil, 0
-- How many hosts are known whose ids begin so: of one agent.
local counts = {}
local function count(own)
  if not counts[own] then
    counts[own] = 0
    for _, id in ipairs(known) do
      if string.sub(id, 1, #own) == own then
        counts[own] = counts[own] + 1
      end
    end
  end
  return counts[own]
end

-- Why there is no room for a host that is not known.
local function crowded(ping)
  known = known or redis.call('SMEMBERS', base .. 'hosts')
  if #known + added >= tonumber(given.in_all) then
    return 'room'
  end
  if ping.own and count(ping.own) >= tonumber(given.of_one) then
    return 'many'
  end
end

-- What is set of a host, as text: all but its interval, which is before any text that somebody has chosen.
local function settings(document)
  return (string.gsub(document, '"keep_alive":[^,}]*', '', 1))
end

local function hear(ping)
  local name, row = key('host', ping.id), ping.row
  local stored = redis.call('HMGET', name, 'pinged_at', 'engine_id', 'sessions', 'state', 'document')
  if not stored[4] and (ping.seen or not ping.audit) then
    unknown[#unknown + 1] = ping.id
    return nil
  end
  local before = stored[4] and (stored[5] or '')
  local is_other = before and before ~= row.document and settings(before) ~= settings(row.document)
  if is_other and ping.seen ~= before then
    changed[#changed + 1] = { ping.id, before }
    return nil
  end
  local why = not stored[4] and crowded(ping)
  if why then
    return why
  end
  if ping.engine_id ~= '' and stored[2] and stored[2] ~= '' and stored[2] ~= ping.engine_id then
    return 'engine'
  end
  local sessions = stored[3] and cjson.decode(stored[3]) or { session = '', sequence = '0', former = {} }
  local refused = is_refused(sessions, ping, is_recent(stored[1], ping.patience))
  if stored[3] or sessions.session ~= '' then
    redis.call('HSET', name, 'sessions', cjson.encode(sessions))
  end
  if refused then
    return 'session'
  end
  if ping.engine_id ~= '' then
    row.engine_id = ping.engine_id
  end
  if stored[4] == 'dead' then
    row.state, row.state_at = 'returning', time(now)
  elseif not stored[4] then
    row.state, row.is_cordoned, row.is_draining, row.engine_id = 'alive', '0', '0', ping.engine_id
  end
  row.pinged_at = time(now)
  put(name, row)
  if not stored[4] then
    redis.call('SADD', base .. 'hosts', ping.id)
    added = added + 1
    if ping.own then
      counts[ping.own] = counts[ping.own] + 1
    end
  end
  if is_other or not stored[4] then
    audit(ping.audit)
  end
end

for _, ping in ipairs(given.pings) do
  local refusal = hear(ping)
  if refusal then
    refused[#refused + 1] = { ping.id, refusal }
  end
end
return { 'stored', refused, unknown, changed }
