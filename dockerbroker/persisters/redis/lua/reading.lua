-- How a script that only looks ends.

if redis.call('EXISTS', deployment) == 0 then
  return '["absent"]'
end
return cjson.encode(run())
