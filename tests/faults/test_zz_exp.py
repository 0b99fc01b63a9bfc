import time, psutil, pytest, signal
from tests.faults import sales
from tests.faults.processes import tend, eventually
from tests.faults.conftest import *
from tests.faults.test_redis import *
@pytest.mark.parametrize("how", ["down", "hung"])
def test_x(scenario, own_environment, server, how):
    sales.load(scenario, 30)
    run_id = sales.request(scenario, sales.slow())
    with tend(own_environment, "scheduler"), tend(own_environment, "worker", "--processes", "1", "--threads", "2") as worker:
        eventually(lambda: sales.is_in_work(scenario, run_id))
        if how == "down": server.stop(signal.SIGTERM)
        else: server.process.send_signal(signal.SIGSTOP)
        t=time.time()
        try: print("RC", worker.stop(100))
        finally:
            print("TOOK", time.time()-t)
            server.process.send_signal(signal.SIGCONT)
        print([(c.state,c.retries,c.rescues, c.cursor) for c in scenario.chunks(run_id)])
