"""Many requests at once for one id, to several brokers on one database and one Docker host."""
