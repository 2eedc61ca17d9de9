-- Finds every credential, in the order of the ids.

return { 'found', records('credential', redis.call('ZRANGE', base .. 'credentials', 0, -1)) }
