-- Replaces secrets that still stand there as they were read, and counts those that do not.

local function name_of(row)
  if given.kind == 'binding' then
    return pair('binding', row.instance_id, row.id)
  end
  return key(given.kind, row.name or row.host or row.id)
end

local missed = 0
for _, change in ipairs(given.changes) do
  local name = name_of(change.key)
  if field(name, 'secret') == change.before then
    put(name, { secret = change.after })
  else
    missed = missed + 1
  end
end
return { 'done', tostring(missed) }
