-- Finds all tombstones.

return { 'found', records('tombstone', redis.call('ZRANGE', base .. 'tombstones', 0, -1)) }
