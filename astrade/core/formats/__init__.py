"""How pages write dates, by language; a language's own formats would otherwise win over the settings."""
