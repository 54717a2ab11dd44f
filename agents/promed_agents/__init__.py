"""ProMed's agent zoo: doctors that ask, from fixed interviews to planners and learners, and how they are evaluated."""
