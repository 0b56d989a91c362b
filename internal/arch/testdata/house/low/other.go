package low

func elsewhere() { table["written"] = 2 }
