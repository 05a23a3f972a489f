"""How would an ordinary user write it? The ways that ours are measured against; not edited together with ours."""
