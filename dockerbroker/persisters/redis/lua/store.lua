-- Adds records of one kind to a database that is being filled; those that are there stay as they are.

if (field(deployment, 'mover') or '') ~= given.mover then
  return { 'held' }
end
if field(deployment, 'closed') ~= 'filling' then
  return { 'refused' }
end

local store = {}

function store.image(row)
  put(key('image', row.name), row)
  redis.call('ZADD', base .. 'images', 0, row.name)
  redis.call('HINCRBY', deployment, 'catalog', 1)
end

function store.host(row)
  put(key('host', row.id), row.row)
  redis.call('SADD', base .. 'hosts', row.id)
end

function store.certificate(row)
  put(key('certificate', row.host), row)
  redis.call('ZADD', base .. 'certificates', 0, row.host)
end

-- They are not those of a configuration any more.
function store.credential(row)
  put(key('credential', row.id), row)
  redis.call('ZADD', base .. 'credentials', 0, row.id)
  redis.call('HINCRBY', deployment, 'credentials', 1)
end

function store.instance(row)
  if redis.call('EXISTS', key('instance', row.id)) == 0 then
    put(key('instance', row.id), row)
    redis.call('ZADD', base .. 'instances', 0, row.id)
    count(row.image_name, 1)
    for _, held in ipairs(holdings(row)) do
      reserve(held.host, held.reserved, 1)
    end
    settle(row.id, row.neighbourhood, holdings(row))
  end
end

store.binding = put_binding

function store.port_lease(row)
  redis.call('HSET', key('ports', row.host), row.port, row.instance_id)
end

-- The sums are those of the instances.
function store.reservation() end

function store.condition(row)
  redis.call('HSET', base .. 'conditions', row.instance_id, row.condition)
end

function store.tombstone(row)
  put(key('tombstone', row.instance_id), row)
  redis.call('ZADD', base .. 'tombstones', row.at, row.instance_id)
end

function store.audit(row)
  local head = base .. 'audit_head'
  redis.call('HSET', base .. 'audit', row.number, row.previous .. row.hash .. row.id .. ' ' .. row.document)
  if not field(head, 'number') then
    redis.call('HSET', head, 'first', row.number)
  end
  redis.call('HSET', head, 'number', row.number, 'hash', row.hash)
end

function store.operation(row)
  local name = operation_key(row.id)
  if redis.call('EXISTS', name) == 1 then
    return
  end
  local owner, lease_until, is_kept = row.owner, row.lease_until, row.kept_for
  row.owner, row.lease_until, row.kept_for = false, false, false
  row.number = tostring(redis.call('HINCRBY', deployment, 'number', 1))
  put(name, row)
  redis.call('ZADD', base .. 'operations', row.number, row.id)
  redis.call('ZADD', history(row.instance_id, row.binding_id), row.number, row.id)
  if lease_until then
    redis.call('ZADD', base .. 'unfinished', row.number, row.id)
    lease(row.id, owner, lease_until)
  elseif not is_kept then
    let_go(row.id)
  end
end

for _, row in ipairs(given.rows) do
  store[given.kind](row)
end
return { 'done' }
