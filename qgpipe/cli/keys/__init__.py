"""Every key of the configuration: as a file that runs, as a page, as a schema for editors."""
