-- Finds records of one kind that come after one, in the order of the archive.

local limit, after, rows = tonumber(given.limit), given.after, {}
local some = 1000

local function ids_after(name, id, most)
  return redis.call('ZRANGEBYLEX', name, id and '(' .. id or '-', '+', 'LIMIT', 0, most)
end

-- Calls that with the instances after one, in the order of their ids, until the page is full.
local function each_instance(last, collect)
  local ids
  repeat
    ids = ids_after(base .. 'instances', last, some)
    for _, id in ipairs(ids) do
      if #rows >= limit then
        return
      end
      collect(id)
      last = id
    end
  until #ids < some
end

local function collect_bindings(instance_id, id)
  for _, one in ipairs(ids_after(key('bindings', instance_id), id, limit - #rows)) do
    rows[#rows + 1] = record(pair('binding', instance_id, one))
  end
end

local function collect_condition(id)
  local condition = field(base .. 'conditions', id)
  if condition then
    rows[#rows + 1] = { instance_id = id, condition = condition }
  end
end

-- Of the operations on an instance that exists the last one is kept.
local function is_kept(row)
  return not row.binding_id
    and redis.call('ZREVRANGE', history(row.instance_id), 0, 0)[1] == row.id
    and redis.call('EXISTS', key('instance', row.instance_id)) == 1
end

local is_plain = { image = true, certificate = true, credential = true, instance = true }

if is_plain[given.kind] then
  local id = after and (after.name or after.host or after.id)
  rows = records(given.kind, ids_after(base .. given.kind .. 's', id, limit))
elseif given.kind == 'binding' then
  if after then
    collect_bindings(after.instance_id, after.id)
  end
  each_instance(after and after.instance_id, function(id)
    collect_bindings(id, false)
  end)
elseif given.kind == 'condition' then
  each_instance(after and after.instance_id, collect_condition)
else
  local number = after and field(key('operation', after.id), 'number')
  local low = number and '(' .. number or '-inf'
  local ids = redis.call('ZRANGEBYSCORE', base .. 'operations', low, '+inf', 'LIMIT', 0, limit)
  rows = records('operation', ids)
  for _, row in ipairs(rows) do
    row.kept_for = is_kept(row) and row.instance_id or nil
  end
end
return { 'found', rows }
