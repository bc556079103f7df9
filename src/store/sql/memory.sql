select key, content from memory where key = any ($1)
