"""Every query; a store is built for one site."""
