-- What every script begins with. KEYS[1] is what all keys of the deployment begin with. ARGV[1] is what is
-- asked, as JSON without numbers and nulls: what a field of a record is not to have is false. Documents and
-- times of the caller are text that nothing here looks into.

local base, given = KEYS[1], cjson.decode(ARGV[1])
local deployment = base .. 'deployment'

-- An identifier may hold any character. No kind is the beginning of another one with its colon.
local function key(kind, id)
  return base .. kind .. ':' .. id
end

-- The length keeps the two apart.
local function pair(kind, first, second)
  return base .. kind .. ':' .. #first .. ':' .. first .. ':' .. second
end

-- The operations on an instance itself, or on one of its bindings, by their numbers.
local function history(instance_id, binding_id)
  if binding_id then
    return pair('binding_history', instance_id, binding_id)
  end
  return key('history', instance_id)
end

-- Lua's own way of writing numbers loses digits of a time.
local function time(seconds)
  return string.format('%.6f', seconds)
end

local function field(name, column)
  return redis.call('HGET', name, column) or nil
end

local function record(name)
  local flat, row = redis.call('HGETALL', name), {}
  for i = 1, #flat, 2 do
    row[flat[i]] = flat[i + 1]
  end
  return flat[1] and row or nil
end

-- The records of those that exist.
local function records(kind, ids)
  local rows = {}
  for _, id in ipairs(ids) do
    rows[#rows + 1] = record(key(kind, id))
  end
  return rows
end

local function put(name, row)
  local written, cleared = {}, {}
  for column, value in pairs(row) do
    if value then
      written[#written + 1] = column
      written[#written + 1] = value
    else
      cleared[#cleared + 1] = column
    end
  end
  if written[1] then
    redis.call('HSET', name, unpack(written))
  end
  if cleared[1] then
    redis.call('HDEL', name, unpack(cleared))
  end
end
