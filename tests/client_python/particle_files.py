"""Three events with muons, as HepMC and as LHE."""
import math

import pyhepmc


def kinematics(px, py, pz, m):
    return px, py, pz, math.sqrt(px * px + py * py + pz * pz + m * m)


# pdg, status and momentum of the particles of three events
EVENTS = [
    [(13, 1, kinematics(30, 0, 10, 0.106)), (-13, 1, kinematics(-25, 5, 0, 0.106)),
     (13, 1, kinematics(0, 40, 5, 0.106))],
    [(13, 2, kinematics(50, 0, 0, 0.106)), (-13, 1, kinematics(3, 4, 1, 0.106))],
    [(13, 1, kinematics(6, 8, -2, 0.106)), (11, 1, kinematics(60, 0, 0, 0))],
]


def write_hepmc(path, unit=pyhepmc.Units.GEV, scale=1.0):
    with pyhepmc.open(path, "w") as file:
        for number, particles in enumerate(EVENTS):
            event = pyhepmc.GenEvent(unit, pyhepmc.Units.MM)
            event.event_number = number
            event.weights = [number + 1.0]
            beams = [pyhepmc.GenParticle((0, 0, s * 6500 * scale, 6500 * scale), 2212, 4) for s in (1, -1)]
            vertex = pyhepmc.GenVertex((0, 0, 0, 0))
            for beam in beams:
                vertex.add_particle_in(beam)
            for pid, status, momentum in particles:
                particle = pyhepmc.GenParticle([scale * x for x in momentum], pid, status)
                vertex.add_particle_out(particle)
                if status == 2:
                    decay = pyhepmc.GenVertex((0, 0, 0, 0))
                    decay.add_particle_in(particle)
                    decay.add_particle_out(pyhepmc.GenParticle([scale * x for x in momentum], 22, 1))
                    event.add_vertex(decay)
            event.add_vertex(vertex)
            file.write(event)


def write_lhe(path):
    with open(path, "w") as file:
        file.write('<LesHouchesEvents version="3.0">\n<init>\n2212 2212 6500 6500 0 0 0 0 3 1\n1 0.1 1 1\n</init>\n')
        for number, particles in enumerate(EVENTS):
            file.write(f"<event>\n{len(particles)} 1 {number + 1} 91 0.0078 0.118\n")
            for pid, status, (px, py, pz, e) in particles:
                file.write(f"{pid} {status} 0 0 0 0 {px} {py} {pz} {e!r} 0.106 0 9\n")
            file.write("</event>\n")
        file.write("</LesHouchesEvents>\n")
