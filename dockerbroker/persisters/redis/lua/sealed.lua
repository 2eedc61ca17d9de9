-- Looks for a secret that is sealed in some records of one kind that come after one, and in the bindings of
-- instances. Returns whether there is one, and the last record that it has looked at if there may be more.

local function is_sealed(name)
  return string.sub(field(name, 'secret') or '', 1, #given.mark) == given.mark
end

local function has_sealed(id)
  if is_sealed(key(given.kind, id)) then
    return true
  end
  local bindings = given.kind == 'instance' and redis.call('ZRANGE', key('bindings', id), 0, -1) or {}
  for _, one in ipairs(bindings) do
    if is_sealed(pair('binding', id, one)) then
      return true
    end
  end
  return false
end

local after = given.after and '(' .. given.after or '-'
local ids = redis.call('ZRANGEBYLEX', base .. given.kind .. 's', after, '+', 'LIMIT', 0, given.limit)
for _, id in ipairs(ids) do
  if has_sealed(id) then
    return { 'found', '1', '' }
  end
end
return { 'found', '0', #ids == tonumber(given.limit) and ids[#ids] or '' }
